"""Tiny trainings in which everything is random that can be."""

import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import loops
from yapf.yapflib import yapf_api

from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.utils.launch import use_cpu_wrapper
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
#: A rate that depends on validations, and one that depends on epochs.
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


#: Name to what makes the config, what is changed in it, and the number of
#: processes. Each loop, with and without workers, and what may be lost.
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


class Teller(Hook):
    """Tells another process which iteration begins."""

    def __init__(self, told: Connection) -> None:
        self.told = told

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Tell the number of iterations that are done."""
        self.told.send(runner.iter)


def config_of(name: str, work_dir: str) -> dict:
    """Return the config of a run, which goes on if it was begun.

    Args:
        name (str): A key of :data:`RUNS`.
        work_dir (str): Its work folder.
    """
    make, changes, _ = RUNS[name]
    # Keys that the toy has are set in place, new ones are added.
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


def train(
    name: str, work_dir: str, rank: int, port: int, told: Connection
) -> None:
    """Be one process of a run, from its beginning or its last checkpoint.

    Args:
        name (str): A key of :data:`RUNS`.
        work_dir (str): Its work folder. What this process ends with is saved
            in it as ``end_RANK.pth``, if the run ends.
        rank (int): The rank of this process.
        port (int): Where the processes meet, if there are several.
        told (Connection): Hears which iteration begins.
    """
    _be_quiet_and_quick(Path(work_dir) / f'output_{rank}.txt')
    cfg = config_of(name, work_dir)
    world_size = RUNS[name][2]
    if world_size > 1:
        os.environ.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(world_size),
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(port),
        )
        dist.init_process_group('gloo')
        cfg.launcher = 'pytorch'
        use_cpu_wrapper(cfg)
    runner = DAVPTRunner.from_cfg(cfg)
    runner.register_hook(Teller(told))
    try:
        runner.train()
    finally:
        if world_size > 1:
            dist.destroy_process_group()
    model = runner.model.module if world_size > 1 else runner.model
    state = dict(
        model=model.state_dict(),
        optimizer=runner.optim_wrapper.state_dict(),
        schedulers=[s.state_dict() for s in runner.param_schedulers or ()],
        averages=[
            hook.ema_model.state_dict()
            for hook in runner.hooks
            if isinstance(hook, EMAHook)
        ],
        best=runner.message_hub.runtime_info.get('best_score'),
    )
    if rank > 0:
        # Each process has its own, of which those of rank 0 are saved.
        state['model'] = {
            key: value
            for key, value in state['model'].items()
            if 'running_' not in key
        }
    torch.save(state, Path(work_dir) / f'end_{rank}.pth')


def _be_quiet_and_quick(output: Path) -> None:
    """Write to a file, and leave out what takes long and changes nothing."""
    output.parent.mkdir(parents=True, exist_ok=True)
    file = output.open('a', buffering=1)
    for stream in (1, 2):
        os.dup2(file.fileno(), stream)
    sys.stdout = sys.stderr = file
    torch.set_num_threads(1)
    # With its workers it is a group, which can be killed at once.
    os.setsid()
    yapf_api.FormatCode = lambda text, **options: (text, True)
    DAVPTRunner._log_env = lambda self, cfg: None
    loops.time = _NoSleep


class _NoSleep:
    """The host sleeps for two seconds between passes."""

    time = time.time

    @staticmethod
    def sleep(seconds: float) -> None:
        """Do not."""
