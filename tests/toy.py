"""Runs of a few seconds: tiny models on glyphs, for tests of whole parts."""

import copy

ARCH = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=48)
CHARS = 'ABCDEF'


def _merge(base, changes):
    """Return ``base`` with dotted keys changed."""
    cfg = copy.deepcopy(base)
    for key, value in changes.items():
        node = cfg
        *parents, last = key.split('.')
        for parent in parents:
            node = node[int(parent) if isinstance(node, list) else parent]
        node[last] = value
    return cfg


def backbone(**kwargs):
    return dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch=copy.deepcopy(ARCH),
        img_size=32,
        patch_size=8,
        num_prompts=3,
        **kwargs,
    )


def classification(work_dir, changes=None, num_images=24):
    """Return the config of an epoch-based run: 2 epochs of 3 iterations."""
    dataset = dict(
        type='mmdavpt.GlyphDataset',
        chars=CHARS,
        faces='latin_train',
        img_size=32,
        pipeline=[dict(type='PackInputs')],
    )
    loader = dict(
        batch_size=8,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(dataset, num_images=num_images),
    )
    cfg = dict(
        default_scope='mmpretrain',
        work_dir=str(work_dir),
        experiment_name=str(work_dir).replace('/', '_'),
        randomness=dict(seed=0),
        model=dict(
            type='mmdavpt.DAVPTImageClassifier',
            data_preprocessor=dict(
                type='ClsDataPreprocessor',
                num_classes=len(CHARS),
                mean=[127.5] * 3,
                std=[64.0] * 3,
            ),
            backbone=backbone(),
            head=dict(
                type='LinearClsHead',
                num_classes=len(CHARS),
                in_channels=ARCH['embed_dims'],
                loss=dict(type='CrossEntropyLoss'),
            ),
            guidance=dict(
                guided_layers=(-1,),
                loss=dict(
                    type='mmdavpt.DAVPTLoss', token_weight=0.1, cls_weight=0.1
                ),
            ),
        ),
        custom_hooks=[dict(type='mmdavpt.PromptMappingHook')],
        train_dataloader=loader,
        val_dataloader=dict(
            loader,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(dataset, num_images=24, seed=1),
        ),
        val_evaluator=dict(type='Accuracy'),
        train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=10),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
    )
    return _merge(cfg, changes or {})


def segmentation(work_dir, changes=None, num_images=8):
    """Return the config of an iteration-based run: 4 iterations of 4."""
    dataset = dict(
        type='mmdavpt.GlyphSceneDataset',
        faces='latin_train',
        size=(32, 32),
        pipeline=[dict(type='PackSegInputs')],
    )
    loader = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=dict(dataset, num_images=num_images),
    )
    head = dict(
        type='SETRUPHead',
        in_channels=ARCH['embed_dims'],
        channels=16,
        num_classes=27,
        norm_cfg=dict(type='BN'),
        num_convs=1,
        up_scale=4,
        dropout_ratio=0,
        kernel_size=3,
        loss_decode=dict(
            type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0
        ),
    )
    cfg = dict(
        default_scope='mmseg',
        work_dir=str(work_dir),
        experiment_name=str(work_dir).replace('/', '_'),
        randomness=dict(seed=0),
        model=dict(
            type='mmdavpt.DAVPTEncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=[127.5] * 3,
                std=[64.0] * 3,
                size=(32, 32),
                pad_val=0,
                seg_pad_val=255,
            ),
            backbone=backbone(
                out_type='featmap', out_indices=(0, 1), final_norm=False
            ),
            decode_head=dict(head, in_index=1),
            auxiliary_head=[dict(head, in_index=0)],
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
            guidance=dict(
                background_class=0,
                guided_layers=(-1,),
                loss=dict(
                    type='mmdavpt.DAVPTLoss', token_weight=0.1, cls_weight=0.1
                ),
            ),
        ),
        custom_hooks=[dict(type='mmdavpt.PromptMappingHook')],
        train_dataloader=loader,
        val_dataloader=dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(dataset, num_images=4, seed=1),
        ),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        train_cfg=dict(by_epoch=False, max_iters=4, val_interval=100),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        log_processor=dict(by_epoch=False),
        default_hooks=dict(
            logger=dict(type='LoggerHook', log_metric_by_epoch=False),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1),
        ),
    )
    return _merge(cfg, changes or {})
