"""VTAB-1k: 1,000 training images of each of 19 tasks, and all test images.

Images are resized to 224x224, whatever their shape, and not augmented, as in
the paper (A.2). The default protocol is 'retrain'. A child config sets the
``task`` of all datasets.
"""

train_pipeline = test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='Resize',
        scale=(224, 224),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmdavpt.VTAB1k',
        data_root='data/vtab-1k',
        split='train800val200',
        pipeline=train_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdavpt.VTAB1k',
        data_root='data/vtab-1k',
        split='test',
        pipeline=test_pipeline,
    ),
)
# Some tasks have fewer than five classes.
test_evaluator = dict(type='Accuracy', topk=(1,))

protocol = 'retrain'  # `tools/train.py --protocol NAME` applies another
protocols = dict(
    # To choose settings: 800 images train, 200 choose the epoch.
    tune=dict(
        train_dataloader=dict(dataset=dict(split='train800')),
        val_dataloader=dict(
            test_dataloader,
            dataset=dict(test_dataloader['dataset'], split='val200'),
        ),
        val_evaluator=test_evaluator,
        val_cfg=dict(),
        default_hooks=dict(checkpoint=dict(save_best='auto')),
    ),
    # To report: all 1,000 images train, the last epoch is tested once.
    retrain=dict(),
    # The released code: from epoch 60 on, it chooses the epoch by the *test*
    # images. Its score is not a test result.
    released=dict(
        train_cfg=dict(val_begin=60),
        val_dataloader=test_dataloader,
        val_evaluator=test_evaluator,
        val_cfg=dict(),
        default_hooks=dict(checkpoint=dict(save_best='auto')),
    ),
)
