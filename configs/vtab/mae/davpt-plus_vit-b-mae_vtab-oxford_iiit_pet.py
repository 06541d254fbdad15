"""DA-VPT+ on VTAB-1k Pets: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/vtab/mae/davpt-plus_vit-b-mae_vtab-oxford_iiit_pet.py
Hardware: one GPU.
Paper: top-1 86.1 (per-task table of the appendix).
Ours: not run here, needs MAE weights and VTAB-1k.
Settings: those of the config that it inherits from; tune them.
"""

_base_ = './davpt_vit-b-mae_vtab-oxford_iiit_pet.py'

model = dict(backbone=dict(bias=('k', 'v')))
