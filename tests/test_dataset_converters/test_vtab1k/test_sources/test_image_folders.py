import os

import numpy as np
import pytest

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES

from . import archives


@pytest.fixture(scope='module')
def caltech(tmp_path_factory):
    root = str(tmp_path_factory.mktemp('caltech'))
    archives.caltech101(root)
    return root


def keys_of(splits):
    return {
        split: [example.key for example in examples]
        for split, examples in splits.items()
    }


def test_caltech_splits(caltech):
    splits = SOURCES['caltech101'](caltech)
    assert len(splits['train']) == 30 * 102 and len(splits['test']) == 102
    # The first two of 31 that seed 1234 does not draw among the first 30.
    random = np.random.RandomState(1234)
    left = [int(random.permutation(31)[30]) + 1 for _ in range(2)]
    assert keys_of(splits)['test'][:2] == [
        f'BACKGROUND_Google/image_{left[0]:04d}.jpg',
        f'Faces/image_{left[1]:04d}.jpg',
    ]


def test_caltech_labels_ignore_case(caltech):
    labels = {
        example.key.split('/')[0]: example.label
        for example in SOURCES['caltech101'](caltech)['train']
    }
    assert labels['accordion'] == 0 and labels['BACKGROUND_Google'] == 1
    assert labels['Faces'] == 2 and labels['Faces_easy'] == 3
    assert sorted(labels.values()) == list(range(102))


def test_caltech_split_is_independent_of_the_file_system(caltech, monkeypatch):
    expected = keys_of(SOURCES['caltech101'](caltech))
    listdir = os.listdir
    monkeypatch.setattr(os, 'listdir', lambda path: listdir(path)[::-1])
    first = keys_of(SOURCES['caltech101'](caltech))
    monkeypatch.setattr(os, 'listdir', lambda path: sorted(listdir(path)))
    assert first == keys_of(SOURCES['caltech101'](caltech)) == expected


def test_caltech_images_are_rgb(caltech):
    examples = sum(SOURCES['caltech101'](caltech).values(), [])
    (grey,) = [e for e in examples if e.key == 'accordion/image_0001.jpg']
    red, green, blue = grey.read().split()
    assert red.tobytes() == green.tobytes() == blue.tobytes()


def test_report_incomplete_caltech(tmp_path):
    archives.caltech101(str(tmp_path), archives.CALTECH_CLASSES[:-1])
    with pytest.raises(UsageError, match='be 102 classes, but there are 101'):
        SOURCES['caltech101'](str(tmp_path))
    top = tmp_path / 'caltech-101/101_ObjectCategories'
    archives.write(f'{top}/zebra/image_0001.jpg')
    with pytest.raises(UsageError, match='zebra should hold at least 30 im'):
        SOURCES['caltech101'](str(tmp_path))


@pytest.mark.parametrize('folder', ['EuroSAT_RGB', '2750'])
def test_eurosat(folder, tmp_path):
    archives.eurosat(str(tmp_path), folder)
    splits = SOURCES['eurosat'](str(tmp_path))
    assert list(splits) == ['train']
    assert [e[:2] for e in splits['train']][:6] == [
        ('AnnualCrop_AnnualCrop_1.jpg', 0),
        ('AnnualCrop_AnnualCrop_10.jpg', 0),
        ('AnnualCrop_AnnualCrop_2.jpg', 0),
        ('Forest_Forest_1.jpg', 1),
        ('Forest_Forest_10.jpg', 1),
        ('Forest_Forest_2.jpg', 1),
    ]
    assert splits['train'][-1].label == 9
    assert len(splits['train']) == 30


def test_resisc45(tmp_path):
    archives.resisc45(str(tmp_path))
    examples = SOURCES['resisc45'](str(tmp_path))['train']
    assert [e[:2] for e in examples[:4]] == [
        ('airplane_airplane_001.jpg', 0),
        ('airport_airport_001.jpg', 1),
        ('railway_railway_001.jpg', 2),
        ('railway_station_railway_station_001.jpg', 3),
    ]
    assert len(examples) == 45
