"""DA-VPT+ on VTAB-1k SmallNORB/ele: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/vtab/in21k/davpt-plus_vit-b-in21k_vtab-smallnorb_ele.py
Hardware: one GPU.
Paper: top-1 48.7 (per-task table of the appendix).
Ours: not run here, needs ImageNet-21k weights and VTAB-1k.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms, the first norms.
"""

_base_ = './davpt_vit-b-in21k_vtab-smallnorb_ele.py'

model = dict(backbone=dict(bias=('k', 'v')))
