"""DA-VPT+ on CUB-200-2011: with K and V bias (section 3.5).

Command: python tools/train.py configs/fgvc/mae/davpt-plus_vit-b-mae_cub.py
Hardware: one GPU.
Paper: no number of its own; mean of the five sets 83.20 (Table 1).
Ours: not run here, needs MAE weights and CUB-200-2011.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms.
"""

_base_ = './davpt_vit-b-mae_cub.py'

model = dict(backbone=dict(bias=('k', 'v')))
