"""DA-VPT+ on VTAB-1k Caltech101: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/vtab/moco-v3/davpt-plus_vit-b-moco-v3_vtab-caltech101.py
Hardware: one GPU.
Paper: top-1 90.7 (per-task table of the appendix).
Ours: not run here, needs MoCo v3 weights and VTAB-1k.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms, the first norms, the [CLS] token.
"""

_base_ = './davpt_vit-b-moco-v3_vtab-caltech101.py'

model = dict(backbone=dict(bias=('k', 'v')))
