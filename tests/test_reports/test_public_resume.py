"""A run that continues, or starts in a used folder, says what it does."""

import os
import shutil

import pytest
import torch

from . import runs
from .commands import log_of, refusal, start


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """Return the images and the work folder of a run of 2 epochs."""
    folder = tmp_path_factory.mktemp('finished')
    cfg = config(runs.photos(folder / 'data'), folder / 'run')
    start('train', cfg, folder)
    return folder / 'data', folder / 'run'


def config(images, work_dir, changes=None):
    best = {'default_hooks.checkpoint.save_best': 'accuracy/top1'}
    schedule = {'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1}
    cfg = runs.classification(images, {**best, **schedule, **(changes or {})})
    return dict(cfg, work_dir=str(work_dir))


@pytest.fixture
def run(finished, tmp_path):
    """Return the images, and a copy of the work folder somewhere else."""
    images, work_dir = finished
    return images, shutil.copytree(work_dir, tmp_path / 'moved')


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


def test_another_optimizer(run, tmp_path, capsys):
    """`KeyError: 'momentum'` after resuming Adam as SGD [pytorch #7499]."""
    images, work_dir = run
    changes = {
        'train_cfg.max_epochs': 3,
        'optim_wrapper.optimizer': dict(type='SGD', lr=0.1),
    }
    cfg = config(images, work_dir, changes)
    said = refusal(capsys, 'train', cfg, tmp_path, '--resume')
    assert 'of a training with another optimizer than SGD' in said
    assert 'no dampening, momentum; keep the optimizer, or start from' in said


@pytest.mark.parametrize(
    ('changes', 'difference'),
    [
        ({'lr': 0.5}, 'lr=0.01 instead of 0.5'),
        ({'weight_decay': 0.5}, 'weight_decay=0.01 instead of 0.5'),
        ({}, None),
    ],
)
def test_a_changed_rate(run, tmp_path, changes, difference):
    """A new learning rate is ignored on resume [mmseg #487, mmcv #2304]."""
    images, work_dir = run
    cfg = config(images, work_dir, {'train_cfg.max_epochs': 3})
    cfg['optim_wrapper']['optimizer'].update(changes)
    start('train', cfg, tmp_path, '--resume')
    log = log_of(work_dir)
    sentence = 'settings of the checkpoint, which differ from the config: '
    assert (sentence in log) == (difference is not None)
    assert f'{sentence}{difference}; to train by' in log or not difference


def test_a_finished_run(run, tmp_path):
    """Resuming at the last epoch ends without a word [LAVIS #175]."""
    images, work_dir = run
    before = weights(work_dir / 'epoch_2.pth')
    start('train', config(images, work_dir), tmp_path, '--resume')
    assert (
        'the checkpoint has finished 2 epochs and the training ends at 2, so '
        'nothing is trained; to train longer, raise train_cfg.max_epochs'
    ) in log_of(work_dir)
    after = weights(work_dir / 'epoch_2.pth')
    assert all(torch.equal(value, after[k]) for k, value in before.items())


def test_a_used_folder(run, tmp_path):
    """Checkpoints of two runs lie in one folder [jiant #5]."""
    images, work_dir = run
    cfg = config(images, work_dir, {'train_cfg.max_epochs': 1})
    start('train', cfg, tmp_path)
    assert (
        f'{work_dir} has checkpoints of an earlier run '
        '(best_accuracy_top1_epoch_1.pth, epoch_1.pth, epoch_2.pth)'
    ) in log_of(work_dir)
    cfg = config(images, tmp_path / 'new', {'train_cfg.max_epochs': 1})
    start('train', cfg, tmp_path)
    assert 'an earlier run' not in log_of(tmp_path / 'new')


def test_a_moved_folder(run, finished, tmp_path):
    """The best file is looked for in the old folder [transformers #48319].

    The validation after the checkpoint is repeated, and is now the best.
    """
    images, work_dir = run
    last = torch.load(work_dir / 'epoch_2.pth', weights_only=False)
    last['message_hub']['runtime_info']['best_score'] = 1.0
    torch.save(last, work_dir / 'epoch_2.pth')
    cfg = config(images, work_dir, {'train_cfg.max_epochs': 3})
    start('train', cfg, tmp_path, '--resume')
    names = [path.name for path in work_dir.glob('best*')]
    assert names == ['best_accuracy_top1_epoch_2.pth']
    assert (finished[1] / 'best_accuracy_top1_epoch_1.pth').exists()


def test_a_tilde_is_the_home_folder(finished, tmp_path, monkeypatch):
    """A folder named `~` is made in the current one [HistoQC #198]."""
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.chdir(tmp_path)
    cfg = config(finished[0], '~/runs', {'train_cfg.max_epochs': 1})
    start('train', cfg, tmp_path)
    assert (tmp_path / 'home/runs/epoch_1.pth').exists()
    assert '~' not in os.listdir(tmp_path)
