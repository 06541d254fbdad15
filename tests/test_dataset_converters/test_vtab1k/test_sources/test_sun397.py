import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES

from . import archives


@pytest.fixture
def sun(tmp_path):
    root = str(tmp_path / 'sun')
    archives.sun397(root)
    return root


def test_lists(sun):
    splits = SOURCES['sun397'](sun)
    # An image that TensorFlow cannot decode is listed, and left out.
    assert len(splits['train']) == 397
    assert [e[:2] for e in splits['validation']] == [
        ('/a/abbey/sun_valid.jpg', 0)
    ]
    assert [e[:2] for e in splits['test']] == [
        ('/c/church/outdoor/sun_test.jpg', 1)
    ]
    assert splits['train'][2][:2] == ('/t/track/outdoor/sun_train.jpg', 396)


def test_large_images_get_120000_pixels(sun):
    examples = {e.key: e for e in SOURCES['sun397'](sun)['train']}
    # sqrt(120000 / (500 x 300)) = 0.8944
    assert examples['/a/abbey/sun_train.jpg'].read().size == (447, 268)
    small = examples['/t/track/outdoor/sun_train.jpg'].read()
    assert small.size == (12, 8)


def test_grey_and_misnamed_images(sun):
    splits = SOURCES['sun397'](sun)
    grey = np.asarray(splits['validation'][0].read()).astype(int)
    assert np.abs(grey - grey.mean(axis=2, keepdims=True)).max() <= 1
    red = Image.new('RGB', (12, 8), (200, 0, 0))
    red.save(f'{sun}/SUN397/c/church/outdoor/sun_test.jpg', 'GIF')
    image = np.asarray(splits['test'][0].read()).astype(int)
    assert np.abs(image - [200, 0, 0]).max() <= 3


def test_lists_of_an_installed_package(sun, tmp_path, monkeypatch):
    expected = SOURCES['sun397'](sun)
    package = tmp_path / 'site/tensorflow_datasets'
    os.makedirs(package / 'image_classification')
    archives.write(f'{package}/__init__.py', 'raise ImportError("slow")')
    for name in ('tr', 'va', 'te'):
        file = f'sun397_tfds_{name}.txt'
        shutil.move(f'{sun}/{file}', f'{package}/image_classification/{file}')
    monkeypatch.delitem(sys.modules, 'tensorflow_datasets', raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / 'site'))
    found = SOURCES['sun397'](sun)
    assert [e[:2] for e in found['train']] == [
        e[:2] for e in expected['train']
    ]


def test_missing_parts(sun, monkeypatch):
    os.remove(f'{sun}/SUN397/a/abbey/sun_valid.jpg')
    with pytest.raises(UsageError, match='1 of 399 files are missing'):
        SOURCES['sun397'](sun)
    os.remove(f'{sun}/sun397_tfds_va.txt')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UsageError, match='lacks the list sun397_tfds_va.txt'):
        SOURCES['sun397'](sun)
