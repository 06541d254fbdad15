"""Configs of tiny trainings with as much randomness as possible."""

from mmengine.config import Config

from tests import toy

#: Augmentation in the loader; DropPath, dropout and Mixup in the model.
CLASSIFICATION = {
    'train_dataloader.batch_size': 4,
    'train_dataloader.dataset.pipeline': [
        dict(type='RandomFlip', prob=0.5),
        dict(type='ColorJitter', brightness=0.4, contrast=0.4),
        dict(type='PackInputs'),
    ],
    'model.backbone.drop_path_rate': 0.3,
    'model.backbone.drop_rate': 0.1,
    'train_cfg': dict(by_epoch=True, max_epochs=3, val_interval=1),
    'optim_wrapper.optimizer.lr': 0.003,
}
MIXUP = dict(augments=[dict(type='Mixup', alpha=0.8)])
#: One scheduler depends on validations, the other on epochs.
SCHEDULERS = [
    dict(
        type='ReduceOnPlateauLR',
        monitor='accuracy/top1',
        rule='greater',
        patience=0,
        factor=0.5,
    ),
    dict(type='StepLR', step_size=1, gamma=0.9),
]
BY_EPOCH = dict(type='CheckpointHook', interval=1, max_keep_ckpts=2)
SEGMENTATION = {
    'train_dataloader.dataset.pipeline': [
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs'),
    ],
    'model.backbone.drop_path_rate': 0.3,
    'model.decode_head.dropout_ratio': 0.2,
    'train_cfg': dict(by_epoch=False, max_iters=12, val_interval=5),
    'custom_hooks': [
        dict(type='mmdavpt.PromptMappingHook', iters_per_epoch=3)
    ],
}


def _every(interval: int, **kwargs) -> dict:
    return dict(
        type='CheckpointHook', by_epoch=False, interval=interval, **kwargs
    )


def _workers(persistent: bool) -> dict:
    return {
        'train_dataloader.num_workers': 2,
        'train_dataloader.persistent_workers': persistent,
    }


#: Name -> function that builds the config, changes, number of processes: each
#: loop with and without workers.
RUNS = {
    'epochs': (
        toy.classification,
        {
            **CLASSIFICATION,
            'param_scheduler': SCHEDULERS,
            'default_hooks.checkpoint': dict(BY_EPOCH, save_best='auto'),
        },
        1,
    ),
    'epochs, workers, saved within': (
        toy.classification,
        {
            **CLASSIFICATION,
            **_workers(persistent=True),
            'val_dataloader.num_workers': 1,
            'val_dataloader.persistent_workers': True,
            'model.train_cfg': MIXUP,
            'model.guidance': None,
            'custom_hooks': [dict(type='EMAHook', momentum=0.3)],
            'default_hooks.checkpoint': _every(2, max_keep_ckpts=1),
        },
        1,
    ),
    'epochs, new workers': (
        toy.classification,
        {
            **CLASSIFICATION,
            **_workers(persistent=False),
            'default_hooks.checkpoint': BY_EPOCH,
        },
        1,
    ),
    'iterations': (
        toy.segmentation,
        {
            **SEGMENTATION,
            'default_hooks.checkpoint': _every(2, save_best='mIoU'),
        },
        1,
    ),
    'iterations, workers': (
        toy.segmentation,
        {
            **SEGMENTATION,
            **_workers(persistent=True),
            'default_hooks.checkpoint': _every(3),
        },
        1,
    ),
    'iterations, finite sampler, workers': (
        toy.segmentation,
        {
            **SEGMENTATION,
            **_workers(persistent=True),
            'train_dataloader.sampler': dict(
                type='DefaultSampler', shuffle=True
            ),
            'default_hooks.checkpoint': _every(5),
        },
        1,
    ),
    'epochs, two processes': (
        toy.classification,
        {
            **CLASSIFICATION,
            **_workers(persistent=False),
            'train_dataloader.batch_size': 2,
            'train_dataloader.dataset.num_images': 23,
            'default_hooks.checkpoint': _every(4),
        },
        2,
    ),
    'iterations, two processes': (
        toy.segmentation,
        {
            **SEGMENTATION,
            'train_dataloader.batch_size': 2,
            'default_hooks.checkpoint': _every(4),
        },
        2,
    ),
}


def config_of(name: str, work_dir: str) -> dict:
    """Return the config of a run that resumes if it has a checkpoint.

    Args:
        name (str): A key of :data:`RUNS`.
        work_dir (str): Its work folder.
    """
    make, changes, _ = RUNS[name]
    cfg = Config(make(work_dir))
    for key, value in changes.items():
        if isinstance(value, dict):
            parent, _, last = key.rpartition('.')
            node = cfg
            for part in parent.split('.') if parent else ():
                node = node[part]
            node[last] = value
        else:
            cfg.merge_from_dict({key: value})
    cfg.resume = True
    return cfg
