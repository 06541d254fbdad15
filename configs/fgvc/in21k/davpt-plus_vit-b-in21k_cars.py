"""DA-VPT+ on Stanford Cars: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/fgvc/in21k/davpt-plus_vit-b-in21k_cars.py
Hardware: one GPU.
Paper: top-1 91.0 (Table 3).
Ours: not run here, needs ImageNet-21k weights and Stanford Cars.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms, the first norms, the [CLS] token.
"""

_base_ = './davpt_vit-b-in21k_cars.py'

model = dict(backbone=dict(bias=('k', 'v')))
