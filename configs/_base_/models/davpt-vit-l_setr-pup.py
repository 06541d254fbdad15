"""SETR-PUP on a prompted ViT-L/16, for 150 classes at 512x512.

One main and three auxiliary heads, each on one of four feature layers. All
have ``model.num_classes`` classes.
"""

# BN replaces it on one process or without a GPU.
norm_cfg = dict(type='SyncBN', requires_grad=True)
head = dict(
    type='SETRUPHead',
    in_channels=1024,
    channels=256,
    dropout_ratio=0,
    norm_cfg=norm_cfg,
    kernel_size=3,
    align_corners=False,
)
aux_head = dict(
    **head,
    num_convs=2,
    up_scale=4,
    loss_decode=dict(
        type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4
    ),
)

model = dict(
    type='mmdavpt.DAVPTEncoderDecoder',
    num_classes=150,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        # ImageNet's, as in SETR and the paper's code. The weights were
        # trained with 127.5 and 127.5.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
    ),
    backbone=dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch='l',
        img_size=512,
        patch_size=16,
        out_type='featmap',
        out_indices=(9, 14, 19, 23),
        final_norm=False,
        interpolate_mode='bilinear',
        num_prompts=20,
    ),
    decode_head=dict(
        **head,
        in_index=3,
        num_convs=4,
        up_scale=2,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0
        ),
    ),
    auxiliary_head=[dict(**aux_head, in_index=i) for i in range(3)],
    guidance=dict(
        guided_layers=(-1,),
        normalize='centered',  # docs/deviations.md
        loss=dict(
            type='mmdavpt.DAVPTLoss', token_weight=0.01, cls_weight=0.01
        ),
    ),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
