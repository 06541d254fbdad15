"""Broken files are reported."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.runner.runner import _SlicedDataset
from PIL import Image

from mmdavpt.engine.checked_pipeline import CheckedPipeline, check_files_of
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


def training(tmp_path):
    dataset = folder_of_classes(tmp_path / 'data')
    return toy.classification(
        tmp_path / 'run',
        {
            'train_dataloader.dataset': dataset,
            'val_dataloader.dataset': dataset,
            'model.guidance': None,
            'custom_hooks': [
                dict(type='mmdavpt.TrainingCheckHook'),
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


def test_broken_validation_file_stops_training(runner_from, tmp_path):
    cfg = training(tmp_path)
    cfg['val_dataloader']['dataset'] = folder_of_classes(tmp_path / 'val')
    truncate(tmp_path / 'val/c/2.jpg')
    with pytest.raises(UsageError, match='val/c/2.jpg is truncated'):
        runner_from(cfg).train()


def test_broken_test_file_stops_test(runner_from, tmp_path):
    cfg = training(tmp_path)
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
    # Remote files, and drawn images with a path, are not looked at.
    watched.transforms = [lambda data: data]
    assert watched(dict(img_path='s3://bucket/c.png'))
    drawn = CheckedPipeline(Compose([lambda data: data]))
    assert drawn(dict(sample, img=1))['img'] == 1


def test_transform_error_is_not_a_broken_file(tmp_path):
    path = tmp_path / 'a.png'
    Image.new('RGB', (8, 8)).save(path)

    def fails(data):
        raise TypeError('no such thing')

    watched = CheckedPipeline(Compose([LOAD, fails]))
    with pytest.raises(RuntimeError, match='fail on .*a.png: no such thing'):
        watched(dict(img_path=str(path)))


def test_wrapped_datasets_are_checked():
    inner = [SimpleNamespace(pipeline=Compose([LOAD])) for _ in range(3)]
    # `num_batch_per_epoch` of a loader wraps the dataset too.
    limited = _SlicedDataset(inner[1], length=1)
    # The transforms of a wrapper get samples that are loaded already.
    wrapper = SimpleNamespace(datasets=[inner[0], limited])
    outer = SimpleNamespace(dataset=wrapper, pipeline=Compose([LOAD]))
    check_files_of(outer)
    assert type(outer.pipeline) is Compose
    assert [isinstance(d.pipeline, CheckedPipeline) for d in inner] == [
        True,
        True,
        False,
    ]
