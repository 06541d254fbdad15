"""DA-VPT+ on NABirds: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/fgvc/in21k/davpt-plus_vit-b-in21k_nabirds.py
Hardware: one GPU.
Paper: top-1 88.3 (Table 3).
Ours: not run here, needs ImageNet-21k weights and NABirds.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms, the first norms, the [CLS] token.
"""

_base_ = './davpt_vit-b-in21k_nabirds.py'

model = dict(backbone=dict(bias=('k', 'v')))
