"""Stop during a validation, or while its workers wait."""

import os
import signal
import subprocess

import pytest
import torch
from mmengine.hooks import Hook

from benchmarks.soak.kills import compare
from mmdavpt.engine.resuming.stopping import Stopped
from tests import toy
from tests.test_checkpoints import runs


class SignalWorker(Hook):
    """Lets another process signal a worker of the validation."""

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        if runner.epoch == 0 or batch_idx > 0:
            return
        # PyTorch's workers obey the training itself.
        (self.worker,) = runner.val_loop.dataloader._iterator._workers
        for name in ('TERM', 'USR1'):
            subprocess.run(
                ['kill', f'-{name}', str(self.worker.pid)], check=True
            )
        # The training is told of its death, which ends it with an error.
        self.worker.join(0.5)
        assert self.worker.is_alive()


def test_validation_workers_survive_signals(tmp_path):
    cfg = toy.classification(
        tmp_path,
        {
            'train_cfg.val_interval': 1,
            'val_dataloader.num_workers': 1,
            'val_dataloader.persistent_workers': True,
        },
    )
    runner = runs.runner(cfg)
    hook = SignalWorker()
    runner.register_hook(hook)
    runner.train()
    assert runner.iter == 6 and not hook.worker.is_alive()


class StopOnce(Hook):
    """Sends a signal in one iteration of a validation, counted from 1."""

    def __init__(self, at):
        self.at = at
        self.count = 0

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


class Validated(Hook):
    """Record the draws of validations, by the iteration before them."""

    def __init__(self):
        self.drawn = {}

    def before_val_epoch(self, runner):
        self.drawn.setdefault(runner.iter, []).append(torch.rand(1).item())


def averaged(work_dir, hook):
    """Return the config of a run that keeps averaged weights."""
    cfg = toy.classification(
        work_dir,
        {
            'custom_hooks': [
                dict(type='mmdavpt.PromptMappingHook'),
                dict(hook, momentum=0.3),
            ],
            'train_cfg.val_interval': 1,
            # Which is no validation before the training.
            'train_cfg.val_begin': 0,
        },
    )
    # As the tools say: a signal may also come where nothing was saved.
    cfg['default_hooks']['checkpoint'] = dict(
        type='CheckpointHook', interval=10
    )
    return cfg


def end_of(runner):
    """Return the weights, their averages, and the optimizer's state."""
    (ema,) = [h for h in runner.hooks if hasattr(h, 'ema_model')]
    return dict(
        model=runs.state(runner),
        average=ema.ema_model.state_dict(),
        optimizer=runner.optim_wrapper.state_dict(),
    )


BOTH = dict(
    type='mmpretrain.EMAHook', evaluate_on_ema=True, evaluate_on_origin=True
)


@pytest.mark.parametrize(
    'hook, at',
    [
        (dict(type='mmengine.EMAHook'), 2),
        (BOTH, 2),
        # In the second half, of the weights themselves.
        (BOTH, 5),
        (dict(BOTH, evaluate_on_ema=False), 2),
    ],
)
def test_validation_of_averaged_weights_is_finished(tmp_path, hook, at):
    whole = runs.runner(averaged(tmp_path / 'whole', hook))
    expected = Validated()
    whole.register_hook(expected)
    whole.train()
    cfg = averaged(tmp_path / 'stopped', hook)
    stopped = runs.runner(cfg)
    stopped.register_hook(StopOnce(at))
    with pytest.raises(Stopped):
        stopped.train()
    assert stopped.iter == 4
    resumed = runs.runner(cfg, resume=True)
    validated = Validated()
    resumed.register_hook(validated)
    resumed.train()
    assert resumed._load_from == str(tmp_path / 'stopped' / 'stopped.pth')
    assert list(validated.drawn) == [6]
    assert validated.drawn[6] == expected.drawn[6]
    assert not compare(end_of(whole), end_of(resumed))


def test_checkpoint_between_optimizer_steps_warns(tmp_path, caplog):
    said = []
    for epochs in (1, 1, 2, 3):
        cfg = toy.classification(tmp_path, {'train_cfg.max_epochs': epochs})
        cfg['optim_wrapper']['accumulative_counts'] = 2
        runner = runs.runner(cfg, resume=True)
        runner.logger.addHandler(caplog.handler)
        runner.train()
        said.append(caplog.text.count('a step of accumulative_counts=2'))
        caplog.clear()
    # From the beginning, from the end, from iteration 3, and from 6.
    assert said == [0, 0, 1, 0]
