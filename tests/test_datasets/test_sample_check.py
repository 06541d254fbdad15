"""Every defect of a sample is found, and named with its file."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmdavpt.datasets.sample_check import SampleCheck
from tests.test_checks.test_data.data_files import label, truncate


@pytest.fixture
def check(tmp_path):
    """One sample, image and labels, without defects."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 12, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.jpg')
    label(tmp_path / 'a.png', rng.integers(0, 3, (8, 12)))
    info = dict(
        img_path=str(tmp_path / 'a.jpg'),
        seg_map_path=str(tmp_path / 'a.png'),
        gt_label=1,
        reduce_zero_label=False,
        seg_fields=[],
    )
    check = SampleCheck([info], LoadImageFromFile(), LoadAnnotations(), 3)
    assert check.defects(0) == []
    return check


def names(check):
    return [
        (file.rpartition('/')[2], defect) for file, defect in check.defects(0)
    ]


@pytest.mark.parametrize('name', ['a.jpg', 'a.png'])
@pytest.mark.parametrize(
    'spoil, defect',
    [
        (truncate, 'is truncated: it is a {} without its end'),
        (lambda path: path.write_bytes(b''), 'is empty (0 bytes)'),
        (lambda path: path.write_text('sorry'), 'is not an image file'),
        (lambda path: path.unlink(), 'does not exist'),
    ],
)
def test_broken_files(check, tmp_path, name, spoil, defect):
    spoil(tmp_path / name)
    kind = 'JPEG' if name == 'a.jpg' else 'PNG'
    assert names(check) == [(name, defect.format(kind))]


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_damage_inside(check, tmp_path, backend):
    """A file with its end may be damaged before it."""
    Image.new('RGB', (12, 8)).save(tmp_path / 'b.png')
    content = bytearray((tmp_path / 'b.png').read_bytes())
    place = content.index(b'IDAT') + 6
    content[place : place + 8] = bytes(8)
    (tmp_path / 'b.png').write_bytes(content)
    check.samples[0]['img_path'] = str(tmp_path / 'b.png')
    check.load_image = LoadImageFromFile(imdecode_backend=backend)
    ((name, defect),) = names(check)
    assert name == 'b.png' and defect.startswith('cannot be decoded (')


def test_loaders_that_skip_broken_images(check, tmp_path):
    Image.new('RGB', (12, 8)).save(tmp_path / 'a.bmp')
    truncate(tmp_path / 'a.bmp')
    check.samples[0]['img_path'] = str(tmp_path / 'a.bmp')
    check.load_image = LoadImageFromFile(
        imdecode_backend='pillow', ignore_empty=True
    )
    assert names(check)[0][1].startswith('cannot be decoded (')


def test_labels_out_of_range(check, tmp_path):
    check.samples[0]['gt_label'] = 3
    label(tmp_path / 'a.png', np.full((8, 12), 7))
    assert [name for name, _ in names(check)] == ['a.jpg', 'a.png']
    assert 'has the label 3, but there are 3' in names(check)[0][1]
    assert 'has the label 7, but there are 3' in names(check)[1][1]
    check.load_labels = LoadAnnotations()
    check.samples[0]['reduce_zero_label'] = True
    assert 'has the label 6 (7 in the file' in names(check)[1][1]


def test_labels_of_another_size_or_kind(check, tmp_path):
    label(tmp_path / 'a.png', np.zeros((12, 8)))
    image = f'{tmp_path}/a.jpg'
    assert names(check) == [
        ('a.png', f'has 8×12 pixels, but its image {image} has 12×8')
    ]
    Image.new('RGB', (12, 8)).save(tmp_path / 'a.png')
    assert 'one number per pixel' in names(check)[0][1]
    label(tmp_path / 'a.png', np.full((8, 12), 258), np.uint16)
    # It would be read as 2, which is a class.
    assert 'has the value 258' in names(check)[0][1]


def test_labels_that_are_not_read(check, tmp_path):
    (tmp_path / 'a.png').unlink()
    check.load_labels = None
    assert check.defects(0) == []


def test_a_sample_without_annotation(check):
    del check.samples[0]['seg_map_path']
    assert check.defects(0) == []
