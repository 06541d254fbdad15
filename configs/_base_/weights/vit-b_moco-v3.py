"""ViT-B/16, pre-trained by MoCo v3 on ImageNet-1k (300 epochs); [CLS] counts.

The released code names this file, which is that of linear probing: there the
backbone was frozen, so it has the pre-trained weights and a head besides.
Mean and std are those of the weights.
"""

_base_ = './vit-b_in21k.py'

checkpoint = 'checkpoints/linear-vit-b-300ep.pth.tar'
model = dict(backbone=dict(init_cfg=dict(checkpoint=checkpoint)))
