"""Signals before the first iteration, during a save, outside training."""

import os
import signal

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from mmdavpt.checkpoints import last_checkpoint
from mmdavpt.engine.resuming.stopping import SIGNALS, Stopped
from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.models import prompt_init
from tests import toy
from tests.test_engine.test_ranks.failures import SignalItself

SAID = 'stopped by SIGTERM outside an iteration, so there is nothing to save'


def runner_of(work_dir, *hooks, **changes):
    """Return a runner that resumes, with some hooks more."""
    cfg = toy.classification(work_dir, changes)
    runner = DAVPTRunner.from_cfg(Config(dict(cfg, resume=True)))
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def log_of(folder):
    return ''.join(path.read_text() for path in folder.glob('*/*.log'))


def test_signal_before_the_first_iteration(tmp_path):
    runner = runner_of(tmp_path, SignalItself())
    with pytest.raises(Stopped):
        runner.train()
    assert runner.iter == 0 and not runner.model.guidance.initialized
    # The pass over the training set was left after its first batch.
    assert runner.model.guidance.new_counts.sum() == 8
    assert last_checkpoint(str(tmp_path)) == (None, [])
    assert SAID in log_of(tmp_path)


def test_signal_during_prompt_initialization(tmp_path, monkeypatch):
    added = []
    monkeypatch.setattr(
        prompt_init, '_add', lambda found, x, *_: added.append(x)
    )
    hook = dict(type='mmdavpt.PromptInitHook', max_images=20)
    runner = runner_of(tmp_path, SignalItself(), custom_hooks=[hook])
    with pytest.raises(Stopped):
        runner.train()
    assert [len(tokens) for tokens in added] == [8, 8]  # of two layers


class Mode(Hook):
    """Keeps the mode of the model after all passes before a training."""

    priority = 'LOWEST'

    def before_train(self, runner):
        self.training = runner.model.training


def test_first_passes_restore_training_mode(tmp_path):
    hooks = [
        dict(type='mmdavpt.PromptInitHook', max_images=8),
        dict(type='mmdavpt.PromptMappingHook'),
    ]
    mode = Mode()
    changes = {'train_cfg.max_epochs': 1, 'custom_hooks': hooks}
    runner_of(tmp_path, mode, **changes).train()
    assert mode.training


def test_stop_before_training_keeps_the_last_checkpoint(tmp_path):
    short = {'train_cfg.max_epochs': 1}
    runner_of(tmp_path, **short).train()
    names = sorted(path.name for path in tmp_path.glob('*.pth'))
    first = last_checkpoint(str(tmp_path))
    stopped = runner_of(tmp_path, SignalItself())
    with pytest.raises(Stopped):
        stopped.train()
    assert stopped.iter == 3
    assert last_checkpoint(str(tmp_path)) == first
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == names
    again = runner_of(tmp_path)
    again.train()
    assert again._load_from == first[0] and again.iter == 6


class SignalOften(Hook):
    """Sends a signal in an iteration, and again while that saves."""

    ended = False

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        if runner.iter == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def before_save_checkpoint(self, runner, checkpoint):
        for number in SIGNALS:
            os.kill(os.getpid(), number)

    def after_run(self, runner):
        self.ended = True


@pytest.mark.parametrize('counts, done', [(1, 2), (3, 3)])
def test_repeated_signals_do_not_interrupt_saving(tmp_path, counts, done):
    # No checkpoint has the gradients that wait for a step.
    changes = {
        'optim_wrapper.accumulative_counts': counts,
        'default_hooks.checkpoint.out_dir': str(tmp_path / 'out'),
    }
    hook = SignalOften()
    with pytest.raises(Stopped):
        runner_of(tmp_path / 'run', hook, **changes).train()
    assert hook.ended  # what others began may be ended too
    last = str(tmp_path / 'out' / 'run' / 'stopped.pth')
    assert last_checkpoint(str(tmp_path / 'run')) == (last, [])
    said = f'after iteration {done} of 6 and saved in'
    assert said in log_of(tmp_path / 'run')
