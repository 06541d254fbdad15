"""Broken files are reported, or their samples replaced."""

import logging
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.logging import MessageHub
from mmengine.runner.runner import _SlicedDataset
from mmengine.structures import BaseDataElement
from PIL import Image

from mmdavpt.engine.fault_tolerance.checked_pipeline import (
    CheckedPipeline,
    check_files_of,
    replaced_files,
)
from mmdavpt.engine.hooks import TrainingCheckHook
from mmdavpt.errors import UsageError
from tests import toy
from tests.test_checks.test_data.data_files import truncate

LOAD = dict(type='LoadImageFromFile')


def folder_of_classes(folder, number=8, size=32):
    """Write glyph-sized pictures of six classes; return their dataset."""
    rng = np.random.default_rng(0)
    for k, name in enumerate('abcdef'):
        (folder / name).mkdir(parents=True)
        for i in range(number):
            pixels = rng.integers(0, 200, (size, size, 3), np.uint8) + 9 * k
            Image.fromarray(pixels.astype(np.uint8)).save(
                folder / f'{name}/{i}.jpg'
            )
    return dict(
        type='mmpretrain.CustomDataset',
        data_root=str(folder),
        pipeline=[LOAD, dict(type='mmpretrain.PackInputs')],
    )


def spoil_middle(path):
    """Damage the middle of a PNG; its end stays."""
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)


def training(tmp_path, **options):
    dataset = folder_of_classes(tmp_path / 'data')
    return toy.classification(
        tmp_path / 'run',
        {
            'train_dataloader.dataset': dataset,
            'val_dataloader.dataset': dataset,
            'model.guidance': None,
            'custom_hooks': [
                dict(type='mmdavpt.TrainingCheckHook', **options),
                dict(type='mmdavpt.PromptMappingHook'),
            ],
        },
    )


@pytest.mark.parametrize('workers', [0, 1])
def test_broken_file_is_reported(runner_from, tmp_path, workers):
    cfg = training(tmp_path)
    cfg['train_dataloader']['num_workers'] = workers
    truncate(tmp_path / 'data/c/2.jpg')
    with pytest.raises(UsageError, match='c/2.jpg is truncated.*copy it'):
        runner_from(cfg).train()


@pytest.mark.parametrize('workers', [0, 1])
def test_broken_files_are_replaced_and_logged(runner_from, tmp_path, workers):
    cfg = training(tmp_path, max_broken_files=2)
    cfg['train_dataloader']['num_workers'] = workers
    truncate(tmp_path / 'data/c/2.jpg')
    (tmp_path / 'data/e/1.jpg').write_bytes(b'')
    cfg['val_dataloader']['dataset'] = folder_of_classes(tmp_path / 'whole')
    runner = runner_from(cfg)
    runner.train()
    found = runner.message_hub.get_info('broken_files')
    assert sorted(name.split('data/')[1] for name in found) == [
        'c/2.jpg is truncated: it is a JPEG without its end',
        'e/1.jpg is empty (0 bytes)',
    ]
    log = next(tmp_path.rglob('*.log')).read_text()
    assert log.count('c/2.jpg is truncated') == 1  # and not in each epoch
    assert '(2 of at most 2 such files)' in log


def test_too_many_broken_files_stop_training(runner_from, tmp_path):
    cfg = training(tmp_path, max_broken_files=1)
    for name in ('c/2', 'd/3'):
        truncate(tmp_path / f'data/{name}.jpg')
    with pytest.raises(UsageError, match='max_broken_files=1: .*, after '):
        runner_from(cfg).train()


def test_broken_validation_file_stops_training(runner_from, tmp_path):
    cfg = training(tmp_path, max_broken_files=1)
    cfg['val_dataloader']['dataset'] = folder_of_classes(tmp_path / 'val')
    truncate(tmp_path / 'val/c/2.jpg')
    with pytest.raises(UsageError, match='val/c/2.jpg is truncated'):
        runner_from(cfg).train()


def test_broken_test_file_stops_test(runner_from, tmp_path):
    cfg = training(tmp_path, max_broken_files=1)
    cfg.update(
        test_dataloader=cfg['val_dataloader'],
        test_cfg=dict(),
        test_evaluator=cfg['val_evaluator'],
    )
    truncate(tmp_path / 'data/c/2.jpg')
    with pytest.raises(UsageError, match='c/2.jpg is truncated'):
        runner_from(cfg).test()


def test_defects_of_a_sample(tmp_path):
    path = tmp_path / 'a.png'
    Image.new('RGB', (64, 64), (9, 99, 200)).save(path)
    watched = CheckedPipeline(Compose([LOAD]))
    sample = dict(img_path=str(path))
    assert watched(dict(sample))['img'].shape == (64, 64, 3)
    assert pickle.loads(pickle.dumps(watched))(dict(sample))
    spoil_middle(path)
    with pytest.raises(UsageError, match='a.png cannot be decoded'):
        watched(dict(sample))
    path.unlink()
    with pytest.raises(UsageError, match='a.png does not exist'):
        watched(dict(sample))
    # Drawn images are not loaded, even if they have a path.
    drawn = CheckedPipeline(Compose([lambda data: data]))
    assert drawn(dict(sample, img=1))['img'] == 1


class LoadImageElsewhere:
    """Load images that are not in local files."""

    def __call__(self, data):
        return dict(data_samples=BaseDataElement())


def test_sample_lists_the_files_it_replaces(tmp_path):
    watched = CheckedPipeline(Compose([LoadImageElsewhere()]), replace=True)
    # What is there already, or not local, is not looked at.
    assert watched(dict(img=1, img_path=str(tmp_path / 'a.png')))
    for name in ('a.png', 'b.png'):
        assert watched(dict(img_path=str(tmp_path / name))) is None
    for named in (['a.png does not exist', 'b.png does not exist'], []):
        sample = watched(dict(img_path='s3://bucket/c.png'))['data_samples']
        found = replaced_files([sample])
        assert [said.split('/')[-1] for said in found] == named


def test_transform_error_is_not_a_broken_file(tmp_path):
    path = tmp_path / 'a.png'
    Image.new('RGB', (8, 8)).save(path)

    def fails(data):
        raise TypeError('no such thing')

    watched = CheckedPipeline(Compose([LOAD, fails]), replace=True)
    with pytest.raises(RuntimeError, match='fail on .*a.png: no such thing'):
        watched(dict(img_path=str(path)))


def test_wrapped_datasets_are_checked():
    inner = [SimpleNamespace(pipeline=Compose([LOAD])) for _ in range(3)]
    # `num_batch_per_epoch` of a loader wraps the dataset too.
    limited = _SlicedDataset(inner[1], length=1)
    # The transforms of a wrapper get samples that are loaded already.
    wrapper = SimpleNamespace(datasets=[inner[0], limited])
    outer = SimpleNamespace(dataset=wrapper, pipeline=Compose([LOAD]))
    check_files_of(outer, replace=True)
    assert type(outer.pipeline) is Compose
    assert [isinstance(d.pipeline, CheckedPipeline) for d in inner] == [
        True,
        True,
        False,
    ]


def test_replaced_files_of_a_batch():
    class Sample(dict):
        pass

    samples = [Sample(replaced_files=['a is empty']), Sample()]
    assert replaced_files(samples) == ['a is empty']


def test_broken_file_is_counted_once():
    hub = MessageHub('counts')
    runner = SimpleNamespace(message_hub=hub, logger=logging.getLogger('x'))
    hook = TrainingCheckHook(max_broken_files=1)
    for found in (['a is empty', 'a is empty'], [], ['a is empty']):
        hook._record_broken_files(runner, found)
    assert hub.get_info('broken_files') == ['a is empty']
    with pytest.raises(
        UsageError, match='max_broken_files=1: b is empty, after a is empty'
    ):
        hook._record_broken_files(runner, ['b is empty'])
