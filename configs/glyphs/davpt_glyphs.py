"""Tune the shipped tiny ViT to Latin glyphs with DA-VPT, on two CPU cores.

Command: python tools/train.py configs/glyphs/davpt_glyphs.py
Hardware: two CPU cores, about a minute.
62 classes with 20 images each, light on dark; the backbone's pre-training
images are dark on light. The test uses font faces that training never sees.
vpt_glyphs.py is the control without guidance.
"""

# ---- frequently modified ----
max_epochs = 20
batch_size = 32
lr = 1e-2  # tuned on the validation split, separately for each method
num_prompts = 10  # of each layer
guided_layers = (-1,)
token_weight = 0.05  # beta of eq. 5
cls_weight = 0.05  # lambda of eq. 5
# ---- the task ----
num_classes = 62  # digits and Latin letters
images_per_class = 20
style = 'inverted'  # light on dark
# ---- unmodified in most cases ----
arch = dict(
    embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512
)
checkpoint = '{{ fileDirname }}/../../checkpoints/vit-tiny_glyphs.pth'

default_scope = 'mmpretrain'
randomness = dict(seed=0)

data_preprocessor = dict(
    num_classes=num_classes,
    mean=[127.5, 127.5, 127.5],
    std=[64.0, 64.0, 64.0],
    to_rgb=True,
)

model = dict(
    type='mmdavpt.DAVPTImageClassifier',
    backbone=dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch=arch,
        img_size=48,
        patch_size=8,
        num_prompts=num_prompts,
        init_cfg=dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.'
        ),
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=num_classes,
        in_channels=arch['embed_dims'],
        loss=dict(type='CrossEntropyLoss'),
    ),
    guidance=dict(
        guided_layers=guided_layers,
        loss=dict(
            type='mmdavpt.DAVPTLoss',
            token_weight=token_weight,
            cls_weight=cls_weight,
        ),
    ),
)
custom_hooks = [
    dict(type='mmdavpt.TrainingCheckHook'),
    dict(type='mmdavpt.PromptMappingHook'),
    dict(type='mmdavpt.ParameterTableHook'),
]

dataset = dict(
    type='mmdavpt.GlyphDataset',
    chars='latin',
    style=style,
    pipeline=[dict(type='PackInputs')],
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        **dataset,
        faces='latin_train',
        seed=10,
        num_images=num_classes * images_per_class,
    ),
)
val_dataloader = dict(
    batch_size=248,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(**dataset, faces='latin_train', seed=11, num_images=1240),
)
test_dataloader = dict(
    batch_size=248,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(**dataset, faces='latin_test', seed=12, num_images=2480),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        by_epoch=True,
        end=2,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=True,
        begin=2,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=20),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3),
)
