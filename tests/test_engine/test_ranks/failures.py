"""Failures of one of two processes; this code runs on both."""

import os
import signal
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.hooks import Hook

from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError
from tests import toy


def runner_of(work_dir, changes, *hooks):
    """Return a runner of one of two processes, with some hooks more."""
    cfg = toy.classification(
        work_dir, {**changes, 'train_dataloader.batch_size': 4}
    )
    cfg.update(
        launcher='pytorch',
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        ),
    )
    runner = DAVPTRunner.from_cfg(Config(cfg))
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def end_of(runner):
    """Return the class and the message of the error that ends a training."""
    with pytest.raises(BaseException) as info:
        runner.train()
    # Nobody is out of step after it.
    total = torch.tensor(1)
    dist.all_reduce(total)
    assert int(total) == 2
    return type(info.value).__name__, str(info.value)


class Refuse(Hook):
    """Raises an error when the n-th checkpoint is saved, on rank 0 alone."""

    def __init__(self, error, at):
        self.error = error
        self.left = at

    def before_save_checkpoint(self, runner, checkpoint):
        self.left -= 1
        if self.left == 0:
            raise self.error


class StandInTheWay(Hook):
    """Lets the second checkpoint be saved, but not be named as the last."""

    def before_save_checkpoint(self, runner, checkpoint):
        if runner.epoch == 1:
            (Path(runner.work_dir) / 'last_checkpoint.partial').mkdir()


def refused_saves(rank, folder):
    """Return how trainings end that cannot save."""
    hooks = dict(
        UsageError=Refuse(UsageError('it is not finite'), 1),
        KeyError=Refuse(KeyError('odd'), 1),
        # The last one of two.
        OSError=Refuse(OSError(28, 'No space left on device'), 2),
        pointer=StandInTheWay(),
    )
    return {
        name: end_of(runner_of(folder / name, {}, hook))
        for name, hook in hooks.items()
    }


class SignalItself(Hook):
    """Sends a signal to its own process before the training."""

    priority = 'VERY_HIGH'

    def before_train(self, runner):
        os.kill(os.getpid(), signal.SIGTERM)


def stopped_before(rank, folder):
    """Return how trainings end that rank 1 is to stop at their beginning."""
    hooks = [SignalItself()] if rank else []
    runner = runner_of(folder / 'stopped', {}, *hooks)
    end = end_of(runner)
    seen = int(runner.model.module.guidance.new_counts.sum())
    unguided = runner_of(
        folder / 'stopped unguided', {'model.guidance': None}, *hooks
    )
    return dict(
        end=end,
        seen=seen,
        iterations=runner.iter,
        unguided=end_of(unguided),
    )


def run_all(rank, folder):
    """Return the results of all of these."""
    return dict(
        refused=refused_saves(rank, folder),
        stopped=stopped_before(rank, folder),
    )
