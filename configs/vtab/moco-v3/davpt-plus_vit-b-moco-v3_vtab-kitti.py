"""DA-VPT+ on VTAB-1k KITTI/distance: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/vtab/moco-v3/davpt-plus_vit-b-moco-v3_vtab-kitti.py
Hardware: one GPU.
Paper: top-1 63.7 (per-task table of the appendix).
Ours: not run here, needs MoCo v3 weights and VTAB-1k.
Settings: those of the config that it inherits from; tune them.
"""

_base_ = './davpt_vit-b-moco-v3_vtab-kitti.py'

model = dict(backbone=dict(bias=('k', 'v')))
