"""Two gloo processes end like one process on the same data."""

import gc
import importlib
import os
import socket
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.hooks import Hook

from mmdavpt.engine.runner import DAVPTRunner
from tests import toy
from tests.test_engine.test_ranks import (
    failures,
    mismatches,
    whole_batch,
)

pytestmark = pytest.mark.forks

FROZEN = {'optim_wrapper.optimizer.lr': 0.0}
#: SGD, since Adam would blow differences of rounding up to whole steps.
MOVING = {
    'optim_wrapper.optimizer': dict(type='SGD', lr=0.1),
    'model.guidance.loss.token_weight': 1.0,
    'model.guidance.loss.cls_weight': 1.0,
    'train_dataloader.dataset.num_images': 20,
}
#: What is trained: weights stand still where one and two processes are
#: compared, since the guidance loss of each sees its own samples only.
RUNS = {
    # 20 images do not divide evenly between batches or processes.
    'classification': (
        toy.classification,
        {**FROZEN, 'train_dataloader.dataset.num_images': 20},
    ),
    'segmentation': (
        toy.segmentation,
        {
            **FROZEN,
            'train_dataloader.dataset.num_images': 16,
            'custom_hooks': [
                dict(type='mmdavpt.PromptMappingHook', iters_per_epoch=3)
            ],
        },
    ),
    # Each process sees some of the classes only, and not as many images.
    'unequal': (
        toy.classification,
        {
            **FROZEN,
            'train_dataloader.dataset.num_images': 7,
            'train_dataloader.sampler.round_up': False,
        },
    ),
    'moving': (toy.classification, {'optim_wrapper.optimizer.lr': 0.05}),
    # Weights may move too where the guidance loss sees the whole batch.
    'gathered': (
        toy.classification,
        {**MOVING, 'model.guidance.gather': True},
    ),
}


class LabelRecorder(Hook):
    """Keeps the guidance labels of each iteration."""

    priority = 'LOW'

    def __init__(self):
        self.labels = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.labels.append(
            [
                sample.get('guidance_label')
                for sample in data_batch['data_samples']
            ]
        )


def train(name, folder, world_size):
    """Train one of the runs; return this process's final state."""
    make, changes = RUNS[name]
    cfg = make(
        folder / f'{name}_{world_size}',
        {**changes, 'train_dataloader.batch_size': 8 // world_size},
    )
    if world_size > 1:
        cfg.update(
            launcher='pytorch',
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
            ),
        )
    runner = DAVPTRunner.from_cfg(Config(cfg))
    recorder = LabelRecorder()
    runner.register_hook(recorder)
    runner.train()
    model = runner.model.module if world_size > 1 else runner.model
    return dict(
        guidance=model.guidance.state_dict(),
        labels=recorder.labels,
        parameters={
            n: p.detach()
            for n, p in model.named_parameters()
            if p.requires_grad
        },
    )


def train_on_one_of_two(rank, port, folder):
    """Be one of two processes, for all runs in turn."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    # One that waits in vain is to fail, and not to hang.
    dist.init_process_group('gloo', timeout=timedelta(seconds=120))
    results = {
        **{name: train(name, folder, 2) for name in RUNS},
        'whole_batch': whole_batch.run_all(rank, 2),
        'mismatches': mismatches.run_all(rank),
        'failures': failures.run_all(rank, folder),
    }
    torch.save(results, folder / f'rank{rank}.pth')
    dist.destroy_process_group()


def free_port():
    """Return a port that nobody listens to."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


@pytest.fixture(scope='module')
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    # Both processes are forked, so import once for both.
    importlib.import_module('mmpretrain.models')
    importlib.import_module('mmpretrain.datasets')
    importlib.import_module('mmseg.models')
    # mmengine collects garbage for each dataset: skip the modules, which
    # would take longer than a tiny run.
    gc.collect()
    gc.freeze()
    mp.start_processes(
        train_on_one_of_two, (free_port(), folder), 2, start_method='fork'
    )
    return [torch.load(folder / f'rank{rank}.pth') for rank in range(2)]


@pytest.mark.parametrize('name', ['classification', 'segmentation', 'unequal'])
def test_same_mapping_as_one_process(tmp_path, two_processes, name):
    one = train(name, tmp_path, 1)
    first, second = (results[name] for results in two_processes)
    assert first['guidance']['initialized']
    for key, value in first['guidance'].items():
        assert torch.equal(value, second['guidance'][key]), key
        torch.testing.assert_close(
            value, one['guidance'][key], rtol=1e-4, atol=1e-4, msg=key
        )
    if name == 'segmentation':
        # The statistics of the unfinished epoch are whole on each rank.
        assert first['guidance']['class_counts'].sum() == 8
        merged = [
            [label for pair in zip(a, b, strict=True) for label in pair]
            for a, b in zip(first['labels'], second['labels'], strict=True)
        ]
        assert merged == one['labels']


def test_ranks_agree_while_weights_move(two_processes):
    first, second = (results['moving'] for results in two_processes)
    for key, value in first['guidance'].items():
        assert torch.equal(value, second['guidance'][key]), key


def test_gathered_run_ends_with_the_weights_of_one_process(
    tmp_path, two_processes
):
    one = train('gathered', tmp_path, 1)
    first, second = (results['gathered'] for results in two_processes)
    for kind in ('guidance', 'parameters'):
        for key, value in first[kind].items():
            assert torch.equal(value, second[kind][key]), key
            torch.testing.assert_close(
                value, one[kind][key], rtol=1e-4, atol=1e-4, msg=key
            )


@pytest.mark.parametrize('name', whole_batch.COMPARISONS)
def test_gathered_loss_is_that_of_the_whole_batch(two_processes, name):
    """Losses, gradients after DDP's mean, and weights, in float64."""
    one = whole_batch.COMPARISONS[name](0, 1)
    for results in two_processes:
        two = results['whole_batch']['gathered'][name]
        for kind in ('losses', 'gradients', 'parameters'):
            for key, value in one.get(kind, {}).items():
                torch.testing.assert_close(
                    two[kind][key], value, rtol=1e-9, atol=1e-12, msg=key
                )
    if not name.startswith('no_guided_sample'):
        for key, value in one['gradients'].items():
            if not key.startswith('backbone.bias_delta.k'):
                assert value.abs().max() > 1e-6, key


@pytest.mark.parametrize('name', whole_batch.APART)
def test_without_gathering_each_rank_sees_its_own_samples(two_processes, name):
    one = whole_batch.APART[name](0, 1)
    apart = [
        results['whole_batch']['apart'][name] for results in two_processes
    ]
    for key, value in one['losses'].items():
        assert abs(apart[0]['losses'][key] - apart[1]['losses'][key]) > 1e-3
        assert abs(apart[0]['losses'][key] - value) > 1e-3
    key = max(
        one['gradients'],
        key=lambda k: (
            (apart[0]['gradients'][k] - one['gradients'][k]).abs().max()
        ),
    )
    assert torch.equal(apart[0]['gradients'][key], apart[1]['gradients'][key])
    with pytest.raises(AssertionError):
        torch.testing.assert_close(
            apart[0]['gradients'][key],
            one['gradients'][key],
            rtol=1e-3,
            atol=0,
        )


def test_different_mappings_are_reported(two_processes):
    for results in two_processes:
        results = results['mismatches']['mappings']
        for name, message in (
            ('one class', 'class 3 has prompt -1 on rank 0, but 0 on rank 1'),
            ('exchanged', 'class 0 has prompt 0 on rank 0, but 2 on rank 1'),
            ('shifted', 'class 3 has prompt -1 on rank 0, but 1 on'),
        ):
            assert message in results[name]


def test_error_of_rank_0_reaches_all_ranks(two_processes):
    first, second = (
        results['mismatches']['errors'] for results in two_processes
    )
    for got in (first, second):
        assert got['result'] == 'made by 0'
        assert got['UsageError'] == ('UsageError', 'a usage')
        assert got['ValueError'] == ('ValueError', 'a value')
        assert got['together'] == 2
    for kind in ('KeyError', 'Exotic', 'KeyboardInterrupt'):
        assert first[kind][0] == kind
        assert second[kind][0] == 'RuntimeError'
        assert f'rank 0 ended with {kind}' in second[kind][1]


def test_ranks_that_start_differently_are_an_error(two_processes):
    for results in two_processes:
        said = results['mismatches']['starts']
        assert 'the checksum of the weights should be the' in said['weight']
        assert 'rank 0 has 3 and rank 1 has 0; put' in said['iteration']
        assert 'rank 0 has 4 and rank 1 has 5; give' in said['batches']
        assert 'the config should be the same' in said['seed']


def test_bn_statistics_of_rank_0_are_evaluated(two_processes):
    for results in two_processes:
        mean, batches = results['mismatches']['statistics']
        assert mean.tolist() == [1, 1, 1]
        assert batches == 7


def test_save_errors_reach_all_ranks(two_processes):
    first, second = (
        results['failures']['refused'] for results in two_processes
    )
    for got in (first, second):
        assert got['UsageError'] == ('UsageError', 'it is not finite')
        kind, said = got['OSError']
        assert kind == 'SaveError'
        assert 'epoch_2.pth could not be written (No space left' in said
        kind, said = got['pointer']
        assert kind == 'SaveError'
        assert 'last_checkpoint could not be written (Is a dir' in said
    assert first['KeyError'] == ('KeyError', "'odd'")
    kind, said = second['KeyError']
    assert kind == 'RuntimeError'
    assert said == "rank 0 ended with KeyError: 'odd'"


def test_signal_before_training_stops_all_ranks(two_processes):
    # 12 images on each process; only rank 1 leaves the pass at once.
    stopped = ('Stopped', '0')
    for results, seen in zip(two_processes, (12, 4), strict=True):
        assert results['failures']['stopped'] == dict(
            end=stopped, seen=seen, iterations=0, unguided=stopped
        )
