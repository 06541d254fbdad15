"""Damaged image files are found without decoding all of them."""

import io

import numpy as np
import pytest
from PIL import Image

from mmdavpt.datasets import image_files
from mmdavpt.datasets.image_files import TAIL, file_defect

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def encoded(kind, **kwargs):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **kwargs)
    return buffer.getvalue()


JPEG, PNG = encoded('JPEG', quality=90), encoded('PNG')
PROGRESSIVE = encoded('JPEG', progressive=True)
COMPLETE = {'jpeg': JPEG, 'progressive': PROGRESSIVE, 'png': PNG}


@pytest.fixture
def defect(tmp_path):
    def write_and_check(content, name='a.jpg'):
        (tmp_path / name).write_bytes(content)
        return file_defect(str(tmp_path / name))

    return write_and_check


@pytest.mark.parametrize('name', COMPLETE)
def test_complete_files_are_not_decoded(defect, name, monkeypatch):
    monkeypatch.setattr(image_files, 'decodes', lambda path: 1 / 0)
    assert defect(COMPLETE[name]) is None
    assert defect(COMPLETE[name] + bytes(TAIL // 2)) is None


@pytest.mark.parametrize(
    'trailer', [bytes(3 * TAIL), b'\x00maker notes' * 999]
)
@pytest.mark.parametrize('name', COMPLETE)
def test_long_trailers_are_harmless(defect, name, trailer):
    assert defect(COMPLETE[name] + trailer) is None


@pytest.mark.parametrize('kept', [0.05, 0.5, 0.95])
@pytest.mark.parametrize('padding', [0, 100, 3 * TAIL])
@pytest.mark.parametrize('name', COMPLETE)
def test_truncated_files(defect, name, kept, padding):
    """As interrupted copies leave them, also padded with zeros."""
    cut = COMPLETE[name][: int(kept * len(COMPLETE[name]))] + bytes(padding)
    kind = 'PNG' if name == 'png' else 'JPEG'
    assert defect(cut) == f'is truncated: it is a {kind} without its end'


@pytest.mark.parametrize('lost', [1, 2])
@pytest.mark.parametrize('name', COMPLETE)
def test_missing_end_mark(defect, name, lost):
    assert 'is truncated' in defect(COMPLETE[name][:-lost])


@pytest.mark.parametrize('kind', ['GIF', 'BMP', 'TIFF', 'PPM', 'WEBP', 'PNG'])
def test_formats_that_the_suffix_does_not_say(defect, kind):
    assert defect(encoded(kind)) is None


def test_files_without_an_image(defect, tmp_path):
    assert defect(b'') == 'is empty (0 bytes)'
    assert defect(b'<html>Not found</html>') == 'is not an image file'
    assert defect(b'\xff\xd8\xff') is not None
    assert defect(bytes(5000)) == 'is not an image file'
    assert file_defect(str(tmp_path / 'b.jpg')) == 'does not exist'
    assert file_defect(str(tmp_path / 'b\0.jpg')) == 'does not exist'
    assert 'cannot be read (Is a directory)' == file_defect(str(tmp_path))


@pytest.mark.parametrize('kind', ['TIFF', 'JPEG'])
def test_huge_images_are_no_defect(defect, kind, monkeypatch):
    """Pillow refuses images that OpenCV reads."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    assert defect(encoded(kind) + bytes(2 * TAIL)) is None
