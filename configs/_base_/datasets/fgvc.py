"""FGVC: five fine-grained datasets with the splits of VPT.

A tenth of the training images is for validation; Flowers has its own
validation split. The default protocol is 'retrain'. A child config sets the
``name`` of all datasets. Without a ``data_root``, the reader searches
data/fgvc for the dataset's folder (docs/data.md).
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
    # To choose settings: nine tenths train, one tenth chooses the epoch.
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
    # To report: all training images train, the last epoch is tested once.
    retrain=dict(),
    # The released code: nine tenths train, and from epoch 60 on, it chooses
    # the epoch by the *test* images. Its score is not a test result.
    released=dict(
        train_cfg=dict(val_begin=60),
        train_dataloader=dict(dataset=dict(split='train')),
        val_dataloader=test_dataloader,
        val_evaluator=test_evaluator,
        val_cfg=dict(),
        default_hooks=dict(checkpoint=dict(save_best='auto')),
    ),
)
