"""Shared helpers of the sources: find files, open images."""

import numpy as np
import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources.downloads import (
    Download,
    files_in,
    subfolders,
)
from tools.dataset_converters.vtab1k_conversion.sources.images import (
    bgr_from_file,
    image_from_array,
    image_from_bgr,
    image_from_file,
)

from .archives import encoded, pixels, write

TOYS = Download('Toys', 'toys.zip', 'https://toys.test')


@pytest.mark.parametrize('given', ['', 'toys', 'toys/images'])
def test_locate_accepts_inner_folders(given, tmp_path):
    write(f'{tmp_path}/toys/images/list.txt')
    found = TOYS.locate(str(tmp_path / given), 'toys/images/list.txt')
    assert found == str(tmp_path / 'toys/images/list.txt')


def test_locate_reports_file_folder_and_address(tmp_path):
    with pytest.raises(UsageError) as caught:
        TOYS.locate(str(tmp_path), 'toys/list.txt')
    assert str(caught.value) == (
        f'Toys: {tmp_path} should hold toys/list.txt, but it does not; '
        'download toys.zip from https://toys.test, unpack into one folder '
        'and give that folder'
    )


def test_class_labels_ignore_case():
    labels = TOYS.class_labels(['car', 'Ball', 'axe', 'car'], 3)
    assert labels == {'axe': 0, 'Ball': 1, 'car': 2}
    with pytest.raises(UsageError, match='be 4 classes, but there are 3'):
        TOYS.class_labels(labels, 4)


def test_check_files_counts_missing_files(tmp_path):
    paths = [str(tmp_path / name) for name in 'abc']
    write(paths[0])
    with pytest.raises(UsageError, match=r'2 of 3 files .* first is .*/b;'):
        TOYS.check_files(paths)


def test_skip_hidden_files(tmp_path):
    for name in ('b/x.jpg', 'a/y.jpg', '.c/z.jpg', 'd.jpg', '.e.jpg'):
        write(f'{tmp_path}/{name}')
    assert subfolders(str(tmp_path)) == ['a', 'b']
    assert files_in(str(tmp_path), '.jpg') == ['d.jpg']


@pytest.mark.parametrize(
    'mode, form',
    [
        ('L', 'JPEG'),
        ('CMYK', 'JPEG'),
        ('P', 'GIF'),
        ('P', 'PNG'),
        ('1', 'PNG'),
        ('LA', 'PNG'),
        ('RGBA', 'PNG'),
        ('RGB', 'BMP'),
    ],
)
def test_images_of_all_modes_become_rgb(mode, form, tmp_path):
    path = str(tmp_path / 'image.jpg')
    write(path, encoded(3, mode, form))
    image = image_from_file(path)
    assert image.mode == 'RGB' and image.size == (12, 8)
    expected = Image.open(path).convert('RGB')
    assert np.array_equal(image, expected)
    upright = bgr_from_file(path)[:, :, ::-1].astype(int)
    # OpenCV converts CMYK by itself, with a little difference.
    assert np.abs(upright - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize('content', [b'', b'no image', encoded()[:200]])
@pytest.mark.parametrize('read', [image_from_file, bgr_from_file])
def test_report_damaged_image(read, content, tmp_path):
    path = str(tmp_path / 'image.jpg')
    write(path, content)
    if read is bgr_from_file and content == encoded()[:200]:
        pytest.skip('OpenCV fills up a JPEG that ends early')
    with pytest.raises(UsageError, match='image.jpg cannot be read as an'):
        read(path)


def test_read_format_unknown_to_opencv(tmp_path):
    path = str(tmp_path / 'image.jpg')
    write(path, encoded(3, form='PCX'))
    assert np.array_equal(bgr_from_file(path)[:, :, ::-1], pixels(3, 8, 12, 3))


def test_grey_and_colour_arrays():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(
        image_from_array(grey), np.repeat(grey[:, :, None], 3, axis=2)
    )
    colour = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    assert np.array_equal(image_from_array(colour), colour)


def test_compression_keeps_the_order_of_channels():
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 2] = 200
    image = np.asarray(image_from_bgr(red, 90)).astype(int)
    assert np.abs(image - [200, 0, 0]).max() <= 3
