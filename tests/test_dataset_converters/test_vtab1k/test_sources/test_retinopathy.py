import os

import numpy as np
import pytest

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES
from tools.dataset_converters.vtab1k_conversion.sources.retinopathy import (
    eye_radius,
    read_eye,
)

from . import archives


def test_splits(tmp_path):
    archives.diabetic_retinopathy(str(tmp_path))
    splits = SOURCES['diabetic_retinopathy'](str(tmp_path))
    assert {
        split: [e[:2] for e in examples] for split, examples in splits.items()
    } == {
        'train': archives.EYES['train'],
        'validation': archives.EYES['Public'],
        'test': archives.EYES['Private'],
    }


def disc(height, width, radius):
    """Return a white disc on black."""
    y, x = np.mgrid[:height, :width]
    inside = (x - width // 2) ** 2 + (y - height // 2) ** 2 <= radius**2
    return (inside * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)


def test_eye_radius():
    assert eye_radius(disc(90, 120, 40)) == 40.5
    assert eye_radius(np.zeros((90, 120, 3), np.uint8)) == 45


@pytest.mark.parametrize('size', [(120, 90), (140, 90), (81, 81)])
def test_scale_mask_and_crop_eye(size, tmp_path):
    path = str(tmp_path / 'eye.jpeg')
    archives.write(path, archives.eye(0, size))
    image = np.asarray(read_eye(path)).astype(int)
    # 40 pixels of radius become 300, of which nine tenths are kept.
    assert image.shape == (540, 540, 3)
    corner = image[:60, :60]
    assert np.abs(corner - 128).max() <= 12  # What JPEG leaves of grey.
    assert image[240:300, 240:300].std() > 20


def test_uniform_eye_becomes_grey(tmp_path):
    path = str(tmp_path / 'eye.jpeg')
    archives.write(path, archives.encoded())
    import cv2

    cv2.imwrite(path, disc(90, 120, 40))
    image = np.asarray(read_eye(path)).astype(int)
    # Its difference to its blurred self is 0.
    assert np.abs(image[150:390, 150:390] - 128).max() <= 4


def test_missing_parts(tmp_path):
    archives.diabetic_retinopathy(str(tmp_path))
    os.remove(tmp_path / 'test/2_left.jpeg')
    with pytest.raises(
        UsageError, match=r'1 of 2 files .* 2_left\.jpeg|2_left'
    ):
        SOURCES['diabetic_retinopathy'](str(tmp_path))
    path = tmp_path / 'retinopathy_solution.csv'
    path.write_text('image,level\n1_left,1\n')
    with pytest.raises(UsageError, match='image and level and Usage, but it'):
        SOURCES['diabetic_retinopathy'](str(tmp_path))
    os.remove(path)
    with pytest.raises(UsageError, match='hold retinopathy_solution.csv'):
        SOURCES['diabetic_retinopathy'](str(tmp_path))
