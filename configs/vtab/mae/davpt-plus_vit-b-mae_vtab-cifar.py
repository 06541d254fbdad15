"""DA-VPT+ on VTAB-1k CIFAR-100: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/vtab/mae/davpt-plus_vit-b-mae_vtab-cifar.py
Hardware: one GPU.
Paper: top-1 38.7 (per-task table of the appendix).
Ours: not run here, needs MAE weights and VTAB-1k.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms, the first norms, the [CLS] token.
"""

_base_ = './davpt_vit-b-mae_vtab-cifar.py'

model = dict(backbone=dict(bias=('k', 'v')))
