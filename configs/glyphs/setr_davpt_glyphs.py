"""Tune SETR-PUP on glyph scenes with DA-VPT, on two CPU cores.

Data: python tools/dataset_converters/glyphs.py ade20k data/glyph_scenes \
    --train 800 --val 60 --height 64 --width 96
Command: python tools/train.py configs/glyphs/setr_davpt_glyphs.py
Hardware: two CPU cores, about two minutes.
MMSegmentation's reader of ADE20K reads the scenes from disk. Neither training
nor the multi-scale test flips images, since a mirrored letter is not a letter.
setr_vpt_glyphs.py is the control without guidance.
"""

# ---- frequently modified ----
data_root = 'data/glyph_scenes'
max_iters = 500
batch_size = 16
lr = 5e-3  # of prompts and heads
num_prompts = 10  # of each layer
feature_layers = (2, 3, 4, 5)
guided_layers = (-1,)
token_weight = 0.05  # beta of eq. 5
cls_weight = 0.05  # lambda of eq. 5
# ---- unmodified in most cases ----
num_classes = 27  # the background and 26 letters
background_class = 0
# Background covers nine tenths of a scene; without class weights, the model
# learns nothing else for a long time.
class_weight = [0.1] + [1.0] * 26
scale = (960, 64)  # maximum of the longer and shorter side, in pixels
ratios = (0.85, 1.0, 1.15, 1.3)  # of the scale, in the multi-scale test
crop_size = (64, 64)
stride = (32, 32)  # of the slide test
arch = dict(
    embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512
)
checkpoint = '{{ fileDirname }}/../../checkpoints/vit-tiny_glyphs.pth'

default_scope = 'mmseg'
randomness = dict(seed=0)

head = dict(
    type='SETRUPHead',
    in_channels=arch['embed_dims'],
    channels=64,
    dropout_ratio=0,
    norm_cfg=dict(type='SyncBN'),
    kernel_size=3,
    align_corners=False,
)
aux_head = dict(
    **head,
    num_convs=1,
    up_scale=4,
    loss_decode=dict(
        type='CrossEntropyLoss', class_weight=class_weight, loss_weight=0.4
    ),
)
model = dict(
    type='mmdavpt.DAVPTEncoderDecoder',
    num_classes=num_classes,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[64.0, 64.0, 64.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop_size,
    ),
    backbone=dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch=arch,
        img_size=crop_size,
        patch_size=8,
        out_type='featmap',
        out_indices=feature_layers,
        final_norm=False,
        num_prompts=num_prompts,
        init_cfg=dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.'
        ),
    ),
    decode_head=dict(
        **head,
        in_index=3,
        num_convs=3,
        up_scale=2,
        loss_decode=dict(
            type='CrossEntropyLoss', class_weight=class_weight, loss_weight=1.0
        ),
    ),
    auxiliary_head=[dict(**aux_head, in_index=i) for i in range(3)],
    guidance=dict(
        background_class=background_class,
        guided_layers=guided_layers,
        normalize='centered',  # docs/deviations.md
        loss=dict(
            type='mmdavpt.DAVPTLoss',
            token_weight=token_weight,
            cls_weight=cls_weight,
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=stride),
)
custom_hooks = [
    dict(type='mmdavpt.TrainingCheckHook'),
    dict(type='mmdavpt.PromptMappingHook'),
    dict(type='mmdavpt.ParameterTableHook'),
]

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize',
        scale=scale,
        ratio_range=(0.9, 1.3),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(
                    type='Resize',
                    scale=(int(scale[0] * ratio), int(scale[1] * ratio)),
                    keep_ratio=True,
                )
                for ratio in ratios
            ],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
tta_model = dict(type='mmdavpt.RunningSegTTAModel')

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmdavpt.GlyphADE20KDataset',
        data_root=data_root,
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'
        ),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdavpt.GlyphADE20KDataset',
        data_root=data_root,
        data_prefix=dict(
            img_path='images/validation', seg_map_path='annotations/validation'
        ),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=max_iters)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=50),
    dict(type='PolyLR', power=0.9, eta_min=1e-5, by_epoch=False, begin=50),
]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=200, max_keep_ckpts=3
    ),
    visualization=dict(type='SegVisualizationHook'),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends)
log_processor = dict(by_epoch=False)
