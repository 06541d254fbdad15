"""A run with the rehearsal equals a run without it, bit for bit."""

import json
import os
import random
import socket
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from torch.utils.data import Dataset, Subset

from mmdavpt.checks import rehearsal
from mmdavpt.checks.rehearsal import RehearsalHook
from mmdavpt.datasets.glyphs import GlyphDataset
from mmdavpt.engine.no_trace import isolated_dataset
from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError
from tests import toy
from tests.test_checkpoints.runs import pretrained

pytestmark = pytest.mark.forks

#: Keys that differ between two equal runs.
OWN = (
    'time',
    'eta',
    'cfg',
    'exp_name',
    'experiment_name',
    'last_ckpt',
    'best_ckpt',
)
#: Everything that keeps a state: averages, statistics, dropout, warm-up,
#: gradient clipping, gathered gradients, checks, prompts made of tokens.
HOOKS = [
    dict(type='EMAHook', momentum=0.1),
    dict(type='mmdavpt.TrainingCheckHook'),
    dict(type='mmdavpt.PromptInitHook', max_images=4),
    dict(type='mmdavpt.PromptMappingHook'),
]
RICH = {
    'custom_hooks': HOOKS,
    'model.backbone.drop_path_rate': 0.3,
    'train_dataloader.dataset.pipeline': [
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ],
    'optim_wrapper': dict(
        optimizer=dict(type='AdamW', lr=0.01),
        clip_grad=dict(max_norm=1.0),
        accumulative_counts=3,
    ),
    'train_cfg.val_interval': 1,
    'default_hooks.checkpoint.save_best': 'auto',
}


def classification(folder):
    weights = pretrained(folder.parent / 'weights.pth')
    init_cfg = dict(type='Pretrained', checkpoint=weights)
    changes = {
        **RICH,
        'model.backbone.init_cfg': init_cfg,
        'default_hooks.checkpoint.tuned_only': True,
    }
    schedule = dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=4)
    cfg = toy.classification(folder, changes)
    return dict(cfg, param_scheduler=[schedule])


def segmentation(folder):
    changes = {
        **RICH,
        'custom_hooks': HOOKS,
        'model.decode_head.dropout_ratio': 0.2,
        'train_cfg.val_interval': 2,
        'train_dataloader.dataset.pipeline': [
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    }
    return toy.segmentation(folder, changes)


def train(cfg, rehearsed, *hooks):
    runner = DAVPTRunner.from_cfg(Config(cfg))
    for hook in [*hooks, *([RehearsalHook()] if rehearsed else [])]:
        runner.register_hook(hook)
    runner.train()
    return runner


def assert_same(one, two, place=''):
    """Compare two checkpoints bit for bit."""
    assert type(one) is type(two), place
    if isinstance(one, torch.Tensor):
        assert one.dtype == two.dtype and one.equal(two), place
    elif isinstance(one, HistoryBuffer):
        assert np.array_equal(one.data[0], two.data[0]), place
    elif isinstance(one, dict):
        assert list(one) == list(two), place
        for key in one:
            if key not in OWN and not str(key).endswith('/time'):
                if not str(key).endswith('data_time'):
                    assert_same(one[key], two[key], f'{place}.{key}')
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two), place
        for i, pair in enumerate(zip(one, two, strict=True)):
            assert_same(*pair, f'{place}.{i}')
    else:
        assert one == two, place


def outputs(folder):
    """Return checkpoints, and the numbers that were logged."""
    checkpoints = {
        path.name: torch.load(path, weights_only=False)
        for path in sorted(folder.glob('*.pth'))
    }
    (scalars,) = folder.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    for line in lines:
        line.pop('time', None)
        line.pop('eta', None)
        line.pop('data_time', None)
    files = sorted(p.suffix for p in folder.rglob('*') if p.is_file())
    return checkpoints, lines, files


@pytest.mark.parametrize('make', [classification, segmentation])
def test_equal_to_a_run_without_rehearsal(tmp_path, make):
    for name in ('with', 'without'):
        train(make(tmp_path / name), name == 'with')
    rehearsed, plain = (
        outputs(tmp_path / name) for name in ('with', 'without')
    )
    assert len(plain[0]) >= 2
    assert_same(rehearsed, plain)


class Recorder(Hook):
    """Record state that no log or checkpoint shows, around a rehearsal."""

    def __init__(self, priority):
        self.priority = priority

    def before_train(self, runner):
        wrapper = runner.optim_wrapper
        modules = list(runner.model.modules())
        self.seen = [
            random.getstate(),
            [str(part) for part in np.random.get_state()],
            torch.get_rng_state(),
            [module.training for module in modules],
            [hasattr(p.grad, 'data') for p in runner.model.parameters()],
            [list(vars(module)) for module in modules],
            [{**g, 'params': 0} for g in wrapper.optimizer.param_groups],
            len(wrapper.optimizer.state),
            sorted(vars(wrapper.optimizer)),
            wrapper._inner_count,
            dict(vars(wrapper.loss_scaler)),
            runner.logger.disabled,
            dict(runner.message_hub.runtime_info),
            sorted(runner.message_hub.log_scalars),
            vars(runner.val_evaluator.metrics[0]),
            [p.detach().clone() for p in runner.model.parameters()],
        ]


def test_state_in_memory_is_restored(tmp_path):
    class Stop(Exception):
        pass

    class MoveMore(Hook):
        """Moves frozen weights, loss scale and rate; keeps gradients."""

        priority = 33

        def before_train(self, runner):
            runner.optim_wrapper.zero_grad = lambda: None
            runner.optim_wrapper.loss_scaler = SimpleNamespace(steps=0)
            runner.model.backbone.register_forward_pre_hook(
                lambda backbone, inputs: self.move(runner)
            )

        def move(self, runner):
            runner.model.backbone.pos_embed.data.add_(1)
            runner.optim_wrapper.loss_scaler.steps += 1
            runner.optim_wrapper.param_groups[0]['lr'] += 1

    class StopHook(Hook):
        def before_train(self, runner):
            raise Stop

    before, after = Recorder(34), Recorder(36)
    cfg = dict(classification(tmp_path), custom_hooks=[])
    cfg['model']['guidance'] = None
    with pytest.raises(Stop):
        train(cfg, True, MoveMore(), before, after, StopHook())
    assert_same(before.seen, after.seen)


class OwnDrawsDataset(GlyphDataset):
    rng = None

    def __getitem__(self, index):
        if self.rng is not None:
            self.rng.random()
        return super().__getitem__(index)


def test_own_generators_are_restored(tmp_path):
    generators = [random.Random(0), np.random.default_rng(0)]

    class DrawFromOwn(Hook):
        priority = 33

        def before_train(self, runner):
            runner.train_dataloader.dataset.rng = generators[0]
            backbone = runner.model.backbone
            backbone.rng = generators[1]
            backbone.register_forward_pre_hook(
                lambda backbone, inputs: backbone.rng.random() and None
            )

    class Compare(Hook):
        priority = 36

        def before_train(self, runner):
            dataset = runner.train_dataloader.dataset
            assert dataset.rng.random() == random.Random(0).random()
            expected = np.random.default_rng(0).random()
            assert runner.model.backbone.rng.random() == expected
            raise KeyboardInterrupt

    cfg = classification(tmp_path)
    cfg['train_dataloader']['dataset']['type'] = OwnDrawsDataset
    with pytest.raises(KeyboardInterrupt):
        train(cfg, True, DrawFromOwn(), Compare())


class CountsCalls(Dataset):
    """A dataset of one image, with a transform that counts its calls."""

    def __init__(self):
        self.pipeline = SimpleNamespace(calls=0)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        self.pipeline.calls += 1


@pytest.mark.parametrize(
    'wrap', [lambda d: d, lambda d: Subset(d, [0]), lambda d: d + d]
)
def test_transforms_that_remember_samples_are_copied(wrap):
    dataset = CountsCalls()
    isolated_dataset(wrap(dataset))[0]
    assert dataset.pipeline.calls == 0
    wrap(dataset)[0]
    assert dataset.pipeline.calls == 1


def test_resuming_skips_the_rehearsal(tmp_path, monkeypatch):
    train(classification(tmp_path), rehearsed=True)
    whole = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    monkeypatch.setattr(rehearsal, 'rehearse', lambda runner: 1 / 0)
    cfg = dict(
        classification(tmp_path),
        resume=True,
        load_from=str(tmp_path / 'epoch_1.pth'),
    )
    train(cfg, rehearsed=True)
    resumed = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    for key in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert_same(resumed[key], whole[key])


class FailsOnRank0(Hook):
    """A hook that rank 0 cannot save checkpoints with."""

    def before_save_checkpoint(self, runner, checkpoint):
        raise OSError('disk full')


def run_on_one_of_two(rank, port, folder):
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    dist.init_process_group('gloo', timeout=timedelta(seconds=60))
    for name in ('with', 'without'):
        cfg = distributed(classification(folder / name))
        train(cfg, name == 'with')
    with pytest.raises(UsageError) as info:
        cfg = distributed(toy.classification(folder / 'failing'))
        train(cfg, True, FailsOnRank0())
    total = torch.tensor(1)
    dist.all_reduce(total)  # both ranks are at the same collective
    assert int(total) == 2
    (folder / f'rank{rank}.txt').write_text(str(info.value))
    dist.destroy_process_group()


def distributed(cfg):
    cfg['train_dataloader']['batch_size'] = 4
    cfg['model']['guidance']['gather'] = True
    return dict(
        cfg,
        launcher='pytorch',
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        ),
    )


def test_two_processes(tmp_path):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    mp.start_processes(
        run_on_one_of_two, (port, tmp_path), 2, start_method='fork'
    )
    rehearsed, plain = (
        outputs(tmp_path / name) for name in ('with', 'without')
    )
    assert_same(rehearsed, plain)
    for rank in range(2):
        said = Path(tmp_path / f'rank{rank}.txt').read_text()
        assert 'the rehearsal of the checkpoint failed' in said
        assert 'disk full' in said
