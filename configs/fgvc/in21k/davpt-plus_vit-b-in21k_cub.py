"""DA-VPT+ on CUB-200-2011: with K and V bias (section 3.5).

Command: python tools/train.py configs/fgvc/in21k/davpt-plus_vit-b-in21k_cub.py
Hardware: one GPU.
Paper: top-1 90.8 (Table 3).
Ours: not run here, needs ImageNet-21k weights and CUB-200-2011.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms, the first norms, the [CLS] token.
"""

_base_ = './davpt_vit-b-in21k_cub.py'

model = dict(backbone=dict(bias=('k', 'v')))
