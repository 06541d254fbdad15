"""ViT-B/16, pre-trained as a masked autoencoder (MAE) on ImageNet-1k.

The feature is the mean of prompts and patches after the final norm, the
released code's default (`mae_pooling: all`); its alternative, patches alone,
is `model.backbone.pool_prompts=False`. Mean and std are those of the weights.
"""

_base_ = './vit-b_in21k.py'

checkpoint = 'checkpoints/mae_pretrain_vit_base.pth'
model = dict(
    backbone=dict(
        out_type='avg_featmap',
        pool_norm=False,
        pool_prompts=True,
        init_cfg=dict(checkpoint=checkpoint),
    ),
)
