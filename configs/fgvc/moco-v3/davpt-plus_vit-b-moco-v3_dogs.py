"""DA-VPT+ on Stanford Dogs: with K and V bias (section 3.5).

Command: python tools/train.py \
    configs/fgvc/moco-v3/davpt-plus_vit-b-moco-v3_dogs.py
Hardware: one GPU.
Paper: no number of its own; mean of the five sets 86.16 (Table 1).
Ours: not run here, needs MoCo v3 weights and Stanford Dogs.
Settings: those of the config that it inherits from. The released code trains
more than K and V bias, namely the biases of attention projections, of fc2, of
second norms, the first norms, the [CLS] token.
"""

_base_ = './davpt_vit-b-moco-v3_dogs.py'

model = dict(backbone=dict(bias=('k', 'v')))
