"""ViT-B/16, supervised on ImageNet-21k: timm's AugReg weights; [CLS] counts.

The released code names these weights. They were made with mean and std 127.5;
the released code feeds them ImageNet's, and so do these configs.
"""

_base_ = '../models/davpt-vit-b_linear.py'

checkpoint = 'checkpoints/vit_base_patch16_224.augreg_in21k.safetensors'
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    guidance=dict(normalize='layer'),  # of k-means, as the released configs
)
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
)
