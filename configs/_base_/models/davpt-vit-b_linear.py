"""A linear classifier on a prompted ViT-B/16, with ImageNet-21k weights.

For the other weights of ``pretrained``, a child adds
``model = dict(backbone=_base_.pretrained['mae'])``.
"""

# The files that the released code names; docs/weights.md says where they are.
pretrained = {
    # timm's AugReg weights, supervised on ImageNet-21k; [CLS] is the feature.
    'in21k': dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/vit_base_patch16_224.augreg_in21k'
            '.safetensors',
        )
    ),
    # A masked autoencoder on ImageNet-1k. The feature is the mean of prompts
    # and patches after the final norm, the released default (`mae_pooling:
    # all`); `pool_prompts=False` is the alternative, patches alone.
    'mae': dict(
        out_type='avg_featmap',
        pool_norm=False,
        pool_prompts=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/mae_pretrain_vit_base.pth',
        ),
    ),
    # MoCo v3, 300 epochs on ImageNet-1k; [CLS] is the feature. The file is
    # from linear probing, which froze the backbone, and also has that head.
    'moco-v3': dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/linear-vit-b-300ep.pth.tar',
        )
    ),
}
model = dict(
    type='mmdavpt.DAVPTImageClassifier',
    backbone=dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch='b',
        img_size=224,
        patch_size=16,
        num_prompts=20,
        **pretrained['in21k'],
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='CrossEntropyLoss'),
    ),
    guidance=dict(
        guided_layers=(-1,),
        normalize='layer',  # before k-means, as in the released code
        loss=dict(
            type='mmdavpt.DAVPTLoss', token_weight=0.01, cls_weight=0.01
        ),
    ),
)
# ImageNet's mean and std, as in the released code. The ImageNet-21k weights
# were trained with 127.5 and 127.5.
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
)
