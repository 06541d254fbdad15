"""CUB-200-2011: 5,994 training and 5,794 test images, 200 classes.

A tenth of the training images, chosen by a fixed seed, is held out for
validation, as in the paper; test images choose nothing.
"""

data_root = 'data/CUB_200_2011'
num_splits = 10  # one of them is the validation split
split_seed = 0

data_preprocessor = dict(
    num_classes=200,
    # ImageNet's, as the paper's code has them, although the weights were made
    # with 127.5 and 127.5.
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=224,
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
resize_crop = [
    dict(type='LoadImageFromFile'),
    dict(
        type='ResizeEdge',
        scale=256,
        edge='short',
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='CenterCrop', crop_size=224),
]
test_pipeline = [*resize_crop, dict(type='PackInputs')]
tta_pipeline = [
    *resize_crop,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='PackInputs')],
        ],
    ),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='KFoldDataset',
        num_splits=num_splits,
        seed=split_seed,
        dataset=dict(
            type='CUB',
            data_root=data_root,
            split='train',
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='KFoldDataset',
        num_splits=num_splits,
        seed=split_seed,
        test_mode=True,
        dataset=dict(
            type='CUB',
            data_root=data_root,
            split='train',
            pipeline=test_pipeline,
        ),
    ),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CUB', data_root=data_root, split='test', pipeline=test_pipeline
    ),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
