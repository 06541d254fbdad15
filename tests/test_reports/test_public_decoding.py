"""The data report names what decoding changes."""

import mmcv
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmdavpt.checks.data.report import make_report

from . import runs


def findings(cfg):
    """Return the sentences of the data report by kind."""
    report = make_report(Config(cfg), ['train'], 1)
    return {f.kind: (f.severity, f.sentence) for f in report.all_findings}


def test_orientation_tags(tmp_path):
    """Photos are turned by their tag, but labels are not.

    As in [detectron2 #262, yolov5 #405]. A half turn changes no size.
    """
    folder = runs.masks(tmp_path / 'masks')
    cfg = runs.segmentation(folder)
    assert 'orientation' not in findings(cfg)
    for i in range(2):
        path = folder / f'images/{i}.png'
        image = Image.open(path)
        tags = image.getexif()
        tags[0x112] = 3
        before = mmcv.imread(path)
        image.save(path, exif=tags)
        np.testing.assert_array_equal(mmcv.imread(path), before[::-1, ::-1])
    severity, sentence = findings(cfg)['orientation']
    assert severity == 'warning'
    assert 'masks/images/0.png' in sentence
    assert 'check that their labels fit the turned images' in sentence


@pytest.mark.parametrize('highest', [4095, 65535])
def test_16_bits(tmp_path, highest):
    """Images of 12 bits in 16 become black [mmseg #2303, timm #831]."""
    folder = runs.photos(tmp_path / 'data')
    cfg = runs.classification(folder)
    assert 'lost_range' not in findings(cfg)
    pixels = np.linspace(0, highest, 1024).astype(np.uint16).reshape(32, 32)
    Image.fromarray(pixels).save(folder / 'red/0.png')
    assert mmcv.imread(folder / 'red/0.png').max() == highest >> 8
    # Of all 16 bits, the upper 8 are as good as a photo.
    found = findings(cfg).get('lost_range', ['none'])[0]
    assert found == ('error' if highest == 4095 else 'none')


def test_grayscale_images(tmp_path):
    """Gray photos are read as three equal channels [mmdet #178]."""
    path = tmp_path / 'x.png'
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(gray).save(path)
    for backend in ('cv2', 'pillow'):
        image = mmcv.imread(path, backend=backend)
        np.testing.assert_array_equal(image, np.stack([gray] * 3, -1))
