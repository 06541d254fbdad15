"""CLEVR and KITTI, whose labels follow from the objects of a scene."""

import json
import os

import numpy as np
import pytest

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES
from tools.dataset_converters.vtab1k_conversion.sources.distances import bin_of

from . import archives


def test_classes_of_distances():
    starts = (0.0, 8.0, 8.5)
    assert [bin_of(d, starts) for d in (0.1, 8.0, 8.01, 8.5, 8.6)] == [
        *(0, 0),
        *(1, 1),
        2,
    ]
    # Both are the same number as float32.
    assert bin_of(8.5 + 1e-9, starts) == 1


@pytest.mark.parametrize(
    'task, place', [('clevr_count', 1), ('clevr_dist', 2)]
)
def test_clevr(task, place, tmp_path):
    archives.clevr(str(tmp_path))
    splits = SOURCES[task](str(tmp_path))
    assert list(splits) == ['train', 'validation']
    assert [e[:2] for e in splits['validation']] == [
        (f'CLEVR_val_{index:06d}.png', scene[place])
        for index, scene in enumerate(archives.CLEVR_SCENES)
    ]
    image = splits['train'][4].read()
    assert np.array_equal(image, archives.pixels(4, 8, 12, 3))


def test_clevr_matches_scenes_by_image_name(tmp_path):
    archives.clevr(str(tmp_path))
    expected = SOURCES['clevr_count'](str(tmp_path))['train']
    path = tmp_path / 'CLEVR_v1.0/scenes/CLEVR_train_scenes.json'
    scenes = json.loads(path.read_text())['scenes']
    path.write_text(json.dumps(dict(scenes=scenes[::-1])))
    found = SOURCES['clevr_count'](str(tmp_path))['train']
    assert [e[:2] for e in found] == [e[:2] for e in expected]


def test_report_incomplete_clevr(tmp_path):
    archives.clevr(str(tmp_path))
    os.remove(tmp_path / 'CLEVR_v1.0/images/train/CLEVR_train_000002.png')
    with pytest.raises(UsageError, match='the 7 images that .* it holds 6 im'):
        SOURCES['clevr_count'](str(tmp_path))
    path = tmp_path / 'CLEVR_v1.0/scenes/CLEVR_train_scenes.json'
    for text in ('{', '{"scenes": [{"image_filename": "a"}]}', '[]'):
        path.write_text(text)
        with pytest.raises(UsageError, match='should describe scenes, but it'):
            SOURCES['clevr_dist'](str(tmp_path))


def test_kitti_labels(tmp_path):
    archives.kitti(str(tmp_path))
    splits = SOURCES['kitti'](str(tmp_path))
    labels = {e.key: e.label for es in splits.values() for e in es}
    assert labels == {
        f'{number:06d}.png': archives.KITTI_IMAGES[number % 5][1]
        for number in range(48)
    }
    example = splits['test'][0]
    assert np.array_equal(
        example.read(), archives.pixels(int(example.key[:6]), 8, 12, 3)
    )


def test_kitti_splits_by_video(tmp_path):
    archives.kitti(str(tmp_path))
    splits = SOURCES['kitti'](str(tmp_path))
    numbers = {
        split: [int(e.key[:6]) for e in examples]
        for split, examples in splits.items()
    }
    # As the builder of TensorFlow Datasets splits the same files.
    assert numbers['test'] == [11, 20, 35, 44]
    assert numbers['validation'] == [2, 13, 26, 37]
    assert len(numbers['train']) == 40


def test_report_malformed_kitti_labels(tmp_path):
    archives.kitti(str(tmp_path))
    path = f'{tmp_path}/training/label_2/000000.txt'
    for line in ('Car 1 2 3', archives.KITTI_LINE.format('Car', '1 2 far')):
        archives.write(path, line)
        with pytest.raises(UsageError, match='000000.txt should have a type'):
            SOURCES['kitti'](str(tmp_path))


def test_report_malformed_kitti_mapping(tmp_path):
    archives.kitti(str(tmp_path))
    for text in ('1,2,x', '1,99'):
        archives.write(f'{tmp_path}/mapping/train_rand.txt', text)
        with pytest.raises(UsageError, match='train_rand.txt should number'):
            SOURCES['kitti'](str(tmp_path))
    archives.write(f'{tmp_path}/mapping/train_rand.txt', '1')
    with pytest.raises(UsageError, match='should name videos, but it names 1'):
        SOURCES['kitti'](str(tmp_path))
