"""Pre-train the tiny ViT of the embedded task on Greek and Cyrillic glyphs.

Command: python tools/train.py configs/glyphs/pretrain_glyphs.py
Hardware: two CPU cores, about 25 minutes.
The result is shipped as checkpoints/vit-tiny_glyphs.pth;
checkpoints/README.md has its measurements.
"""

# ---- frequently modified ----
max_iters = 8000  # of 64 images each; each image is seen once
batch_size = 64
lr = 1.5e-3
# ---- the task ----
num_classes = 101  # Greek and Cyrillic characters
arch = dict(
    embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512
)

default_scope = 'mmpretrain'
randomness = dict(seed=0)

data_preprocessor = dict(
    num_classes=num_classes,
    mean=[127.5, 127.5, 127.5],
    std=[64.0, 64.0, 64.0],
    to_rgb=True,
)

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer', arch=arch, img_size=48, patch_size=8
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=num_classes,
        in_channels=arch['embed_dims'],
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.05),
    ),
)

dataset = dict(
    type='mmdavpt.GlyphDataset',
    chars='greek_cyrillic',
    faces='multiscript',
    style='clean',
    pipeline=[dict(type='PackInputs')],
)

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(**dataset, seed=0, num_images=max_iters * batch_size),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(**dataset, seed=1, num_images=2500),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=500)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=400),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=400),
]

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=500, max_keep_ckpts=2
    ),
)
log_processor = dict(by_epoch=False)
