"""DA-VPT+ on VTAB-1k Sun397: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/vtab/in21k/davpt-plus_vit-b-in21k_vtab-sun397.py
Hardware: one GPU.
Paper: top-1 50.3 (per-task table of the appendix).
Ours: not run here, needs ImageNet-21k weights and VTAB-1k.
Settings: those of the config that it inherits from; tune them.
"""

_base_ = './davpt_vit-b-in21k_vtab-sun397.py'

model = dict(backbone=dict(bias=('k', 'v')))
