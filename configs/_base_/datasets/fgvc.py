"""FGVC: five fine-grained data sets with the splits that VPT introduced.

A tenth of the training images is for validation (of Flowers, its own half).
As it stands, this config follows the protocol 'retrain'; a set's config
beside this file says which set it is. Without a `data_root`, the reader looks
for the set's folder in data/fgvc (docs/data.md).
"""

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
        type='mmdavpt.FGVC', split='trainval', pipeline=train_pipeline
    ),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='mmdavpt.FGVC', split='test', pipeline=test_pipeline),
)
test_evaluator = dict(type='Accuracy', topk=(1, 5))

protocol = 'retrain'  # `tools/train.py --protocol NAME` applies another
protocols = dict(
    # Choose settings: nine tenths train, one tenth chooses the epoch.
    tune=dict(
        train_dataloader=dict(dataset=dict(split='train')),
        val_dataloader=dict(
            test_dataloader,
            dataset=dict(test_dataloader['dataset'], split='val'),
        ),
        val_evaluator=test_evaluator,
        val_cfg=dict(),
        default_hooks=dict(checkpoint=dict(save_best='auto')),
    ),
    # Report: all training images train, the last epoch counts, tested once.
    retrain=dict(),
    # What the released code does: nine tenths train, and from epoch 60 on it
    # chooses the epoch by the *test* images. Its score is no test result.
    released=dict(
        train_cfg=dict(val_begin=60),
        train_dataloader=dict(dataset=dict(split='train')),
        val_dataloader=test_dataloader,
        val_evaluator=test_evaluator,
        val_cfg=dict(),
        default_hooks=dict(checkpoint=dict(save_best='auto')),
    ),
)
