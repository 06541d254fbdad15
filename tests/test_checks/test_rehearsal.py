"""The rehearsal names the step, the files and the reason of a failure."""

import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from PIL import Image

from mmdavpt.checks.rehearsal import RehearsalHook, RehearsalPassed
from mmdavpt.checks.silent import short_training
from mmdavpt.cli import train
from mmdavpt.cli.messages import run_command
from mmdavpt.engine.hooks import PromptMappingHook
from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError
from tests import toy
from tests.test_checks.test_data.data_files import label, scenes

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
PACK = dict(type='PackSegInputs')
RESIZE = dict(type='Resize', scale=(32, 32))
#: LoadAnnotations comes after Resize: predictions are resized, not labels.
VAL = [LOAD[0], RESIZE, LOAD[1], PACK]


def rehearse(cfg, *hooks):
    runner = DAVPTRunner.from_cfg(Config(cfg))
    runner.register_hook(RehearsalHook(stop=True))
    for hook in hooks:
        runner.register_hook(hook)
    with pytest.raises((UsageError, RehearsalPassed)) as info:
        runner.train()
    assert runner.iter == 0
    return '' if info.type is RehearsalPassed else str(info.value)


@pytest.fixture
def cfg(tmp_path):
    """A run over scenes on disk, with files of one size."""
    cfg = toy.segmentation(
        tmp_path / 'run', {'train_cfg.val_interval': 2, 'custom_hooks': []}
    )
    cfg['model']['guidance'] = None
    for head in (cfg['model']['decode_head'], *cfg['model']['auxiliary_head']):
        head['num_classes'] = 3
    for split, pipeline in (('train', [*LOAD, RESIZE, PACK]), ('val', VAL)):
        dataset = scenes(tmp_path / split)
        cfg[f'{split}_dataloader']['dataset'] = dict(
            dataset, pipeline=pipeline
        )
    return cfg


def test_sound_run_passes(cfg):
    assert rehearse(cfg) == ''


@pytest.mark.parametrize(
    'make, changes, sentence',
    [
        # Two epochs of three iterations.
        (toy.classification, {}, 'only 6 opt.* set max_epochs=17 or more'),
        (
            toy.classification,
            {'optim_wrapper.accumulative_counts': 2},
            'only 3 opt.* steps; for 50, set max_epochs=34 or more',
        ),
        (toy.classification, {'train_cfg.max_epochs': 17}, None),
        (toy.segmentation, {}, 'only 4 opt.* set max_iters=50 or more'),
        (toy.segmentation, {'train_cfg.max_iters': 50}, None),
    ],
)
def test_short_trainings_are_named(tmp_path, make, changes, sentence, caplog):
    cfg = make(tmp_path / 'run', changes)
    assert rehearse(cfg) == ''
    [log] = tmp_path.glob('run/*/*.log')
    found = re.findall('the training has only .*', log.read_text())
    assert len(found) == (sentence is not None)
    assert all(re.search(sentence, line) for line in found)


def test_trainings_without_a_step_get_no_advice():
    loop = SimpleNamespace(max_iters=0, max_epochs=3)
    runner = SimpleNamespace(train_loop=loop, optim_wrapper=None)
    assert short_training(runner) is None


class OwnMappingHook(PromptMappingHook):
    """A user's hook with the arguments in mmengine's order."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        assert batch_idx == 0 and set(data_batch) == {'inputs', 'data_samples'}


def test_hooks_get_arguments_by_name(tmp_path):
    cfg = toy.classification(tmp_path / 'run', {'custom_hooks': []})
    assert rehearse(cfg, OwnMappingHook()) == ''


def without(pipeline, name):
    return [step for step in pipeline if step['type'] != name]


def test_training_labels(cfg, tmp_path):
    loader = cfg['train_dataloader']
    pipeline = loader['dataset']['pipeline']
    loader['dataset']['pipeline'] = without(pipeline, 'LoadAnnotations')
    said = rehearse(cfg)
    assert 'rehearsal of the training step failed on 4 (such as ' in said
    assert 'add LoadAnnotations to the pipeline of train_dataloader' in said
    # A batch of one whose labels are transposed would train silently.
    loader.update(batch_size=1, dataset=dict(loader['dataset']))
    loader['dataset']['pipeline'] = without(pipeline, 'Resize')
    for i in range(4):
        label(tmp_path / f'train/ann/{i}.png', np.zeros((12, 8)))
    assert 'have 8×12 pixels, but their image has 12×8' in rehearse(cfg)


def test_reports_labels_out_of_range(cfg, tmp_path):
    for i in range(4):
        label(tmp_path / f'train/ann/{i}.png', np.full((8, 12), 7))
    assert 'rehearsal of the training step failed' in rehearse(cfg)
    # Training images of other sizes are padded, so they are not the cause.
    dataset = cfg['train_dataloader']['dataset']
    dataset['pipeline'] = without(dataset['pipeline'], 'Resize')
    Image.new('RGB', (16, 8)).save(tmp_path / 'train/img/1.jpg')
    label(tmp_path / 'train/ann/1.png', np.full((8, 16), 7))
    said = rehearse(cfg)
    assert 'rehearsal of the training step failed' in said
    assert 'different sizes' not in said


def test_validation_labels(cfg, tmp_path):
    loader = cfg['val_dataloader']
    loader['dataset']['pipeline'] = without(VAL, 'LoadAnnotations')
    said = rehearse(cfg)
    assert (
        f'rehearsal of the metric failed on {tmp_path}/val/img/0.jpg' in said
    )
    assert 'add LoadAnnotations to the pipeline of val_dataloader' in said
    loader['dataset']['pipeline'] = [*LOAD, RESIZE, PACK]
    assert 'put LoadAnnotations after Resize in its pipel' in rehearse(cfg)
    loader['dataset']['pipeline'] = VAL
    label(tmp_path / 'val/ann/0.png', np.zeros((8, 14)))
    assert 'have 14×8 pixels, but their image has 12×8' in rehearse(cfg)


def test_validation_images_of_several_sizes(cfg, tmp_path):
    cfg['val_dataloader']['batch_size'] = 2
    cfg['val_dataloader']['dataset']['pipeline'] = without(VAL, 'Resize')
    Image.new('RGB', (16, 8)).save(tmp_path / 'val/img/1.jpg')
    label(tmp_path / 'val/ann/1.png', np.zeros((8, 16)))
    said = rehearse(cfg)
    assert 'rehearsal of the validation batch failed' in said
    assert (
        'different sizes ((8, 12), (8, 16)): set val_dataloader.batc' in said
    )


def test_broken_file(cfg, tmp_path):
    for i in range(4):
        (tmp_path / f'train/img/{i}.jpg').write_bytes(b'')
    said = rehearse(cfg)
    assert f'of the train data failed on {tmp_path}/train/img/' in said


class NoResult(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {}


class BreaksCheckpoints(Hook):
    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint['hook'] = lambda: None


class Odd:
    """An object that cannot be read without executing code."""


class AddsObject(Hook):
    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint['odd'] = Odd()


def test_a_checkpoint_that_is_not_read_safely_is_refused(tmp_path):
    said = rehearse(toy.classification(tmp_path), AddsObject())
    assert 'rehearsal of the checkpoint failed: ' in said
    assert 'contains more than tensors' in said
    assert 'set MMDAVPT_ALLOW_PICKLE=1' in said


class HoldsLock(BaseMetric):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def process(self, data_batch, data_samples): ...

    def compute_metrics(self, results): ...


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            {'val_evaluator': dict(type=HoldsLock)},
            'of the metric failed .*cannot pickle .*; --no-check skips',
        ),
        (
            {'val_evaluator': dict(type='Accuracy', topk=7)},
            'rehearsal of the metric failed on 8 .*sample 0.*Top-7 accuracy',
        ),
        ({'val_evaluator': dict(type=NoResult)}, 'NoResult gives no result'),
        (
            {'default_hooks.checkpoint.intervall': 1},
            "rehearsal of the checkpoint failed: .* argument 'intervall'",
        ),
        ({'custom_hooks': []}, 'no class-to-prompt mapping: add custom_hooks'),
        (
            {'default_hooks.checkpoint.save_best': 'top1'},
            "Hook needs the metric 'top1', but .* gives accuracy/top1",
        ),
        (
            {
                'train_dataloader.batch_size': 99,
                'train_dataloader.drop_last': True,
            },
            'train_dataloader has no batch, but 24 samples; lower its',
        ),
        (
            {'model.head.in_channels': 7},
            'rehearsal of the training step failed .*shapes.*--no-check skips',
        ),
    ],
)
def test_failures(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        raise UsageError(rehearse(toy.classification(tmp_path, changes)))


def test_errors_of_the_machine(tmp_path, monkeypatch):
    cfg = toy.classification(tmp_path)
    said = rehearse(cfg, BreaksCheckpoints())
    assert 'rehearsal of the checkpoint failed' in said
    from mmdavpt.models import DAVPTImageClassifier

    def step(self, data, optim_wrapper):
        raise torch.OutOfMemoryError('tried to allocate 20 GiB')

    monkeypatch.setattr(DAVPTImageClassifier, 'train_step', step)
    assert '20 GiB; lower batch_size or the size of images' in rehearse(cfg)


def test_check_only_ends_after_the_rehearsal(tmp_path, capsys):
    cfg = Config(toy.classification(tmp_path / 'run'))
    cfg.dump(tmp_path / 'sound.py')
    run_command(train, [str(tmp_path / 'sound.py'), '--check-only'])
    assert not list(tmp_path.rglob('*.pth'))
    (log,) = tmp_path.rglob('*.log')
    assert 'The rehearsal passed' in log.read_text()
    cfg.val_evaluator.thrs = 'high'
    cfg.dump(tmp_path / 'wrong.py')
    with pytest.raises(SystemExit, match='2'):
        run_command(train, [str(tmp_path / 'wrong.py'), '--check-only'])
    assert 'Traceback' in max(tmp_path.rglob('*.log')).read_text()
    said = capsys.readouterr().err
    assert 'the rehearsal of the metric failed' in said
    assert 'Traceback' not in said
