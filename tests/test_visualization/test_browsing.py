"""Samples are read through the pipeline, and guided as in training."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmdavpt.errors import UsageError
from mmdavpt.models.guidance import draw_class_labels
from mmdavpt.visualization.browsing import (
    draw_samples,
    guidance_labels,
    read_samples,
)

from ..toy import classification, segmentation

RED = (220, 30, 10)


@pytest.fixture
def coloured(tmp_path):
    """The config of a folder of red images, one in two classes."""
    for name in ('apple/a.png', 'berry/b.png', 'berry/c.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (24, 16), RED).save(tmp_path / name)
    dataset = dict(
        type='CustomDataset',
        data_root=str(tmp_path),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(guidance=None),
            data_preprocessor=dict(to_rgb=True),
            train_dataloader=dict(dataset=dataset),
        )
    )


@pytest.mark.parametrize(
    'normalize', [None, dict(to_rgb=True), dict(to_rgb=False)]
)
def test_red_stays_red(coloured, normalize):
    if normalize is not None:
        pipeline = coloured.train_dataloader.dataset.pipeline
        pipeline.insert(
            1,
            dict(
                type='Normalize', mean=[9.0] * 3, std=[50.0] * 3, **normalize
            ),
        )
        coloured.data_preprocessor.to_rgb = not normalize['to_rgb']
    samples, metainfo = read_samples(coloured, 'train', 2)
    assert len(samples) == 2 and metainfo['classes'] == ('apple', 'berry')
    for sample in samples:
        assert sample.image.shape == (16, 24, 3)
        assert (sample.image == RED).all()
        assert sample.guidance_label is None


def test_a_missing_swap_is_seen(coloured):
    coloured.data_preprocessor.to_rgb = False
    samples, _ = read_samples(coloured, 'train', 9)
    assert [s.name for s in samples] == ['a.png', 'b.png', 'c.png']
    assert [s.label for s in samples] == [0, 1, 1]
    assert (samples[0].image == RED[::-1]).all()


def test_samples_are_chosen_by_the_seed(tmp_path):
    cfg = Config(classification(tmp_path))
    first, again, other = (
        read_samples(cfg, 'train', 6, seed)[0] for seed in (0, 0, 1)
    )
    indices = [s.index for s in first]
    assert indices == sorted(set(indices)) and len(indices) == 6
    assert [s.index for s in again] == indices != [s.index for s in other]
    assert [s.guidance_label for s in first] == [s.label for s in first]
    validation, _ = read_samples(cfg, 'val', 2)
    assert [s.guidance_label for s in validation] == [None, None]
    cfg.model.guidance = None
    assert read_samples(cfg, 'train', 1)[0][0].guidance_label is None
    with pytest.raises(UsageError, match='have a test_dataloader'):
        read_samples(cfg, 'test', 1)


@pytest.mark.parametrize('seed', [0, 3])
def test_guidance_is_drawn_as_the_hook_draws_it(tmp_path, seed):
    cfg = Config(segmentation(tmp_path))
    cfg.custom_hooks[0].seed = seed
    cfg.train_dataloader.dataset.size = (64, 64)
    samples, _ = read_samples(cfg, 'train', 8)
    data_samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.from_numpy(s.annotation)[None])
        )
        for s in samples
    ]
    drawn = draw_class_labels(data_samples, 27, (0,), 255, (seed, False, 0))
    assert [s.guidance_label for s in samples] == drawn
    assert len(set(drawn)) > 2 and 0 not in drawn
    for sample in samples:
        assert sample.guidance_label in np.unique(sample.annotation)
    cfg.model.decode_head.num_classes = 2
    with pytest.raises(UsageError, match='check num_classes'):
        guidance_labels(cfg, data_samples)


def test_no_class_to_draw(tmp_path):
    cfg = Config(segmentation(tmp_path))
    # All other classes become "ignore".
    cfg.train_dataloader.dataset.metainfo = dict(classes=['background', 'E'])
    cfg.train_dataloader.dataset.size = (64, 64)
    cfg.model.decode_head.num_classes = 2
    samples, _ = read_samples(cfg, 'train', 8)
    present = [1 in s.annotation for s in samples]
    assert set(present) == {True, False}
    guides = [s.guidance_label for s in samples]
    assert guides == [1 if p else -1 for p in present]


def test_sheets_and_single_pictures(tmp_path, monkeypatch):
    cfg = Config(segmentation(tmp_path))
    samples, metainfo = read_samples(cfg, 'train', 5)
    draw = [samples, metainfo, str(tmp_path / 'out'), 'train', 'title']
    assert draw_samples(*draw) == [str(tmp_path / 'out/train.png')]
    monkeypatch.setattr('mmdavpt.visualization.browsing.PER_SHEET', 3)
    paths = draw_samples(*draw)
    assert [p.rpartition('/')[2] for p in paths] == [
        'train_1.png',
        'train_2.png',
    ]
    single = draw_samples(*draw, each=True)
    assert len(set(single)) == 5
    name = f'train_{samples[0].index:06d}_{samples[0].name}.png'
    assert single[0].endswith(name)
    with Image.open(single[0]) as picture:
        assert min(picture.size) > 400
