"""A run saves checkpoints, and loses none if saving fails."""

import logging
import os
import shutil
from collections import Counter, defaultdict, namedtuple

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook, Hook
from mmseg.evaluation import IoUMetric

from mmdavpt.checkpoints import (
    SaveError,
    last_checkpoint,
    read_run_checkpoint,
    read_torch,
)
from mmdavpt.checkpoints.plain import to_plain
from mmdavpt.engine import runner as runner_module
from mmdavpt.engine.hooks import DAVPTCheckpointHook

from . import runs


class Scores(Hook):
    """Gives fixed scores to the hook that keeps the best."""

    priority = 'VERY_HIGH'

    def __init__(self, scores):
        self.scores = list(scores)

    def after_val_epoch(self, runner, metrics=None):
        metrics['accuracy/top1'] = np.float32(self.scores.pop(0))


class Watch(Hook):
    """Record the content of the folder after each change of its names."""

    def __init__(self, folder, monkeypatch):
        self.seen = []
        for name in ('replace', 'remove'):
            monkeypatch.setattr(os, name, self._noting(getattr(os, name)))
        self.folder = folder

    def _noting(self, function):
        def noting(*args):
            result = function(*args)
            last, notes = last_checkpoint(str(self.folder))
            self.seen.append(last and os.path.basename(last))
            pointer = self.folder / 'last_checkpoint'
            assert not notes or not pointer.exists()
            return result

        return noting


def run(folder, weights, epochs=4, scores=(), changes=None, **hook):
    cfg = runs.config(
        folder,
        weights,
        {
            'train_cfg.max_epochs': epochs,
            'train_cfg.val_interval': 1 if scores else 100,
            **(changes or {}),
        },
        **hook,
    )
    cfg['val_dataloader']['dataset']['num_images'] = 6
    return cfg


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return runs.pretrained(tmp_path_factory.mktemp('weights') / 'vit.pth')


def names(folder):
    return sorted(p.name for p in folder.glob('*.p*') if p.suffix != '.py')


def test_runner_replaces_the_checkpoint_hook(tmp_path, weights):
    for hook in ('CheckpointHook', CheckpointHook):
        cfg = run(tmp_path, weights)
        cfg['default_hooks']['checkpoint']['type'] = hook
        runner = runs.runner(cfg)
        (found,) = [h for h in runner.hooks if isinstance(h, CheckpointHook)]
        assert type(found) is DAVPTCheckpointHook
    cfg['default_hooks']['checkpoint'] = None
    hooks = runs.runner(cfg).hooks
    assert not [h for h in hooks if isinstance(h, CheckpointHook)]


def test_old_checkpoint_is_deleted_last(tmp_path, weights, monkeypatch):
    scores = (1, 3, 2, 4)
    cfg = run(tmp_path, weights, 4, scores, max_keep_ckpts=1, save_best='auto')
    runner = runs.runner(cfg)
    runner.register_hook(Scores(scores))
    (tmp_path / 'epoch_7.pth.partial').touch()
    watch = Watch(tmp_path, monkeypatch)
    runner.train()
    assert None not in watch.seen[2:]
    assert names(tmp_path) == ['best_accuracy_top1_epoch_4.pth', 'epoch_4.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(
        tmp_path / 'epoch_4.pth'
    )
    content = read_run_checkpoint(str(tmp_path / 'epoch_4.pth'))
    info = content['message_hub']['runtime_info']
    assert info['best_score'] == 4.0 and type(info['best_score']) is float
    assert info['keep_ckpt_ids'] == [4]


def full_disk(monkeypatch, times):
    """Let every file that a runner saves be the one that fills the disk."""
    original = runner_module.Runner.save_checkpoint
    count = [0]

    def save(self, out_dir, filename, *args, **kwargs):
        original(self, out_dir, filename, *args, **kwargs)
        count[0] += 1
        if count[0] in times:
            raise OSError(28, 'No space left on device')

    monkeypatch.setattr(runner_module.Runner, 'save_checkpoint', save)


def test_full_disk_keeps_the_old_checkpoint(
    tmp_path, weights, monkeypatch, caplog
):
    runner = runs.runner(run(tmp_path, weights, max_keep_ckpts=1))
    full_disk(monkeypatch, times=(2, 3))
    runner.logger.addHandler(caplog.handler)
    seen = []

    class See(Hook):
        priority = 'LOWEST'

        def after_train_epoch(self, runner):
            seen.append((names(tmp_path), last_checkpoint(str(tmp_path))[0]))

    runner.register_hook(See())
    with caplog.at_level(logging.ERROR):
        runner.train()
    first = (['epoch_1.pth'], str(tmp_path / 'epoch_1.pth'))
    assert seen[:3] == [first] * 3
    assert names(tmp_path) == ['epoch_4.pth']
    said = [r.getMessage() for r in caplog.records if r.levelname == 'ERROR']
    assert len(said) == 2
    assert 'epoch_2.pth could not be written (No space left' in said[0]
    assert f'The last one is {tmp_path / "epoch_1.pth"}.' in said[0]


def test_failed_last_save_is_an_error(tmp_path, weights, monkeypatch):
    runner = runs.runner(run(tmp_path, weights, 2))
    full_disk(monkeypatch, times=(2,))
    with pytest.raises(SaveError, match='epoch_2.pth could not be written'):
        runner.train()
    assert last_checkpoint(str(tmp_path))[0] == str(tmp_path / 'epoch_1.pth')


def test_old_best_survives_a_failed_save(tmp_path, weights, monkeypatch):
    scores = (1, 2, 0)
    cfg = run(tmp_path, weights, 3, scores, max_keep_ckpts=1, save_best='auto')
    runner = runs.runner(cfg)
    runner.register_hook(Scores(scores))
    # After 1, its best and 1 again, 2: the best of 2 fails.
    full_disk(monkeypatch, times=(5,))
    runner.train()
    assert names(tmp_path) == ['best_accuracy_top1_epoch_1.pth', 'epoch_3.pth']
    content = read_run_checkpoint(str(tmp_path / 'epoch_3.pth'))
    assert content['message_hub']['runtime_info']['best_score'] == 1


def test_best_named_by_the_last_checkpoint_is_kept(
    tmp_path, weights, monkeypatch
):
    cfg = run(tmp_path, weights, 2, (1, 2), max_keep_ckpts=1, save_best='auto')
    runner = runs.runner(cfg)
    runner.register_hook(Scores((1, 2)))
    # After 1, its best and 1 again, 2 and its best: 2 again fails.
    full_disk(monkeypatch, times=(6,))
    with pytest.raises(SaveError):
        runner.train()
    best = [f'best_accuracy_top1_epoch_{n}.pth' for n in (1, 2)]
    assert names(tmp_path) == [*best, 'epoch_2.pth']
    content = read_run_checkpoint(str(tmp_path / 'epoch_2.pth'))
    named = content['message_hub']['runtime_info']['best_ckpt']
    assert named == str(tmp_path / best[0])


def test_auto_is_miou_of_a_segmentation(tmp_path, weights):
    cfg = run(tmp_path, weights, 1, (1,), save_best='auto')
    runner = runs.runner(cfg)
    runner.register_hook(Scores((1,)))
    runner.train()
    metrics = IoUMetric.total_area_to_metrics(*torch.ones(4, 2))
    assert next(iter(metrics)) == 'aAcc' and 'IoU' in metrics
    for prefix in ('', 'val/'):
        hook = DAVPTCheckpointHook(save_best='auto')
        hook.before_train(runner)
        scores = {f'{prefix}aAcc': 9.0, f'{prefix}mIoU': 5.0}
        hook._save_best_checkpoint(runner, scores)
        assert hook.key_indicators == [f'{prefix}mIoU']


def test_a_run_that_compared_aacc_keeps_it(tmp_path, weights):
    cfg = run(tmp_path, weights, 1, (1,), save_best='auto')
    runner = runs.runner(cfg)
    runner.register_hook(Scores((1,)))
    runner.train()
    old = dict(best_ckpt=str(tmp_path / 'best_aAcc_iter_9.pth'), best_score=80)
    for name, value in old.items():
        runner.message_hub.update_info(name, value)
    hook = DAVPTCheckpointHook(save_best='auto')
    hook.before_train(runner)
    hook._save_best_checkpoint(runner, {'aAcc': 81.0, 'mIoU': 40.0})
    assert runner.message_hub.get_info('best_score') == 81
    assert 'best_aAcc_epoch_1.pth' in names(tmp_path)


def test_overwritten_best_is_not_deleted(tmp_path, weights):
    """As by averaged weights that are validated after the weights."""
    runner = runs.runner(run(tmp_path, weights, 1, (1,), save_best='auto'))
    runner.register_hook(Scores((1,)))
    runner.train()
    (hook,) = [h for h in runner.hooks if isinstance(h, CheckpointHook)]
    hook._save_best_checkpoint(runner, {'accuracy/top1': 2.0})
    best = 'best_accuracy_top1_epoch_1.pth'
    assert names(tmp_path) == [best, 'epoch_1.pth']
    content = read_run_checkpoint(str(tmp_path / best))
    assert content['message_hub']['runtime_info']['best_score'] == 2


def test_remote_storage_is_written_directly(tmp_path, weights, monkeypatch):
    saved = []
    monkeypatch.setattr(
        runner_module.Runner,
        'save_checkpoint',
        lambda runner, *names, **kwargs: saved.append((names, kwargs)),
    )
    monkeypatch.chdir(tmp_path)
    runner = runs.runner(run(tmp_path / 'run', weights, 2))
    runner.save_checkpoint('s3://bucket', 'a.pth', by_epoch=False)
    assert saved == [(('s3://bucket', 'a.pth'), dict(by_epoch=False))]
    assert os.listdir(tmp_path) == ['run']


def test_failed_deletion_is_logged(tmp_path, weights, monkeypatch):
    runner = runs.runner(run(tmp_path, weights, 2, max_keep_ckpts=1))
    remove = os.remove

    def refuse(path):
        if path.endswith('epoch_1.pth'):
            raise PermissionError(1, 'Operation not permitted')
        remove(path)

    monkeypatch.setattr(os, 'remove', refuse)
    runner.train()
    assert names(tmp_path) == ['epoch_1.pth', 'epoch_2.pth']
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'epoch_1.pth could not be removed ([Errno 1]' in log


def test_copied_folder_keeps_the_best_of_the_original(tmp_path, weights):
    old, new = tmp_path / 'old', tmp_path / 'new'
    cfg = run(old, weights, 1, (1,), save_best='auto')
    runner = runs.runner(cfg)
    runner.register_hook(Scores((1,)))
    runner.train()
    shutil.copytree(old, new)
    cfg = run(new, weights, 2, (1, 2), save_best='auto')
    runner = runs.runner(cfg, resume=True)
    runner.register_hook(Scores((2,)))
    runner.train()
    assert runner._load_from == str(new / 'epoch_1.pth')
    assert names(old) == ['best_accuracy_top1_epoch_1.pth', 'epoch_1.pth']
    assert names(new) == [
        'best_accuracy_top1_epoch_2.pth',
        'epoch_1.pth',
        'epoch_2.pth',
    ]


def test_resume_skips_a_damaged_checkpoint(tmp_path, weights, caplog):
    runs.runner(run(tmp_path, weights, 2)).train()
    os.truncate(tmp_path / 'epoch_2.pth', 1000)
    runner = runs.runner(run(tmp_path, weights, 3), resume=True)
    runner.logger.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING):
        runner.train()
    said = ' '.join(record.getMessage() for record in caplog.records)
    assert 'epoch_2.pth should be a PyTorch checkpoint' in said
    assert 'epoch_1.pth of iteration 3, the newest intact' in said
    assert runner.iter == 9


def test_resume_without_a_checkpoint_starts(tmp_path, weights):
    runner = runs.runner(run(tmp_path, weights, 1), resume=True)
    runner.train()
    assert runner.iter == 3


class Break(Hook):
    """Ends a run after its first epoch with an error."""

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            raise KeyboardInterrupt


def test_schedule_with_a_function_resumes(tmp_path, weights):
    def runner(name, **kwargs):
        cfg = run(tmp_path / name, weights, epochs=2)
        cfg['param_scheduler'] = [
            dict(type='OneCycleLR', eta_max=0.1, total_steps=6, by_epoch=False)
        ]
        return runs.runner(cfg, **kwargs)

    whole = runner('whole')
    whole.train()
    broken = runner('broken')
    broken.register_hook(Break())
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed = runner('broken', resume=True)
    resumed.train()
    assert resumed._load_from == str(tmp_path / 'broken' / 'epoch_1.pth')
    runs.assert_equal(runs.state(resumed), runs.state(whole))
    (here,), (there,) = resumed.param_schedulers, whole.param_schedulers
    assert here.get_last_value() == there.get_last_value()


Pair = namedtuple('Pair', 'one other')


def test_plain_values_are_read_without_unpickling(tmp_path):
    counts = defaultdict(int, a=np.int64(1))
    given = dict(
        counts=counts,
        pair=Pair(np.float32(1.5), tmp_path),
        letters=Counter('aab'),
    )
    torch.save(to_plain(given), tmp_path / 'a.pth')
    assert read_torch(str(tmp_path / 'a.pth')) == dict(
        counts=dict(a=1),
        pair=(1.5, str(tmp_path)),
        letters=dict(a=2, b=1),
    )


def test_to_plain():
    given = ConfigDict(a=[np.float32(1.5), (np.int64(2), 'x')], b=dict(c=None))
    result = to_plain(dict(given=given, tensor=torch.ones(1)))
    assert result['given'] == dict(a=[1.5, (2, 'x')], b=dict(c=None))
    assert type(result['given']) is dict and type(result['given']['b']) is dict
    assert type(result['given']['a'][0]) is float
    assert type(result['given']['a'][1][0]) is int
    assert torch.equal(result['tensor'], torch.ones(1))
