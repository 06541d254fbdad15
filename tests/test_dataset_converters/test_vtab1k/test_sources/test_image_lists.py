import os

import numpy as np
import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES

from . import archives


def rows(splits):
    return {
        split: [(example.key, example.label) for example in examples]
        for split, examples in splits.items()
    }


def test_dtd_uses_the_first_partition(tmp_path):
    archives.dtd(str(tmp_path))
    splits = SOURCES['dtd'](str(tmp_path))
    assert rows(splits) == {
        split: [
            (f'texture_{i:02d}/texture_{i:02d}_{number:04d}.jpg', i)
            for i in range(47)
        ]
        for number, split in enumerate(('train', 'validation', 'test'))
    }
    path = tmp_path / 'dtd/images/texture_01/texture_01_0000.jpg'
    assert Image.open(path).mode == 'CMYK'
    assert splits['train'][1].read().mode == 'RGB'


def test_report_incomplete_dtd(tmp_path):
    archives.dtd(str(tmp_path))
    os.remove(tmp_path / 'dtd/images/texture_05/texture_05_0002.jpg')
    with pytest.raises(UsageError, match=r'1 of 141 files .*_05_0002\.jpg'):
        SOURCES['dtd'](str(tmp_path))


def test_flowers_labels(tmp_path):
    archives.oxford_flowers102(str(tmp_path))
    splits = SOURCES['oxford_flowers102'](str(tmp_path))
    assert rows(splits) == {
        'train': [('image_00003.jpg', 101), ('image_00001.jpg', 76)],
        'validation': [('image_00006.jpg', 8)],
        'test': [
            ('image_00002.jpg', 0),
            ('image_00005.jpg', 4),
            ('image_00004.jpg', 4),
        ],
    }


def test_report_malformed_flowers(tmp_path):
    archives.oxford_flowers102(str(tmp_path))
    os.replace(tmp_path / 'setid.mat', tmp_path / 'imagelabels.mat')
    archives.write(f'{tmp_path}/setid.mat', 'a page that says not found')
    with pytest.raises(UsageError, match='labels.mat should have labels, b'):
        SOURCES['oxford_flowers102'](str(tmp_path))


def test_pets(tmp_path):
    archives.oxford_iiit_pet(str(tmp_path))
    splits = SOURCES['oxford_iiit_pet'](str(tmp_path))
    assert rows(splits) == {
        'train': [('Abyssinian_34.jpg', 0), ('beagle_116.jpg', 4)],
        'test': [('Egyptian_Mau_14.jpg', 11), ('Sphynx_1.jpg', 33)],
    }
    # A PNG with an alpha channel that is named .jpg.
    image = splits['test'][0].read()
    assert np.array_equal(image, archives.pixels(3, 8, 12, 3))


def test_report_malformed_pets(tmp_path):
    archives.oxford_iiit_pet(str(tmp_path))
    archives.write(f'{tmp_path}/annotations/test.txt', 'Sphynx_1 34\n')
    with pytest.raises(UsageError, match="<breed>\", but got 'Sphynx_1 34'"):
        SOURCES['oxford_iiit_pet'](str(tmp_path))
