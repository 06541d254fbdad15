"""DA-VPT+ on VTAB-1k Clevr/count: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/vtab/in21k/davpt-plus_vit-b-in21k_vtab-clevr_count.py
Hardware: one GPU.
Paper: top-1 81.3 (per-task table of the appendix).
Ours: not run here, needs ImageNet-21k weights and VTAB-1k.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms, the first norms, the [CLS] token.
"""

_base_ = './davpt_vit-b-in21k_vtab-clevr_count.py'

model = dict(backbone=dict(bias=('k', 'v')))
