"""A linear classifier on the features of a prompted ViT-B/16."""

model = dict(
    type='mmdavpt.DAVPTImageClassifier',
    backbone=dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch='b',
        img_size=224,
        patch_size=16,
        num_prompts=20,
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='CrossEntropyLoss'),
    ),
    guidance=dict(
        guided_layers=(-1,),
        loss=dict(
            type='mmdavpt.DAVPTLoss', token_weight=0.01, cls_weight=0.01
        ),
    ),
)
