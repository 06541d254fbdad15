"""Broken image files are told from odd ones without decoding all."""

import io

import numpy as np
import pytest
from PIL import Image

from mmdavpt.datasets import image_files
from mmdavpt.datasets.image_files import TAIL, file_defect, file_defects

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def encoded(kind, **kwargs):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **kwargs)
    return buffer.getvalue()


JPEG, PNG = encoded('JPEG', quality=90), encoded('PNG')
PROGRESSIVE = encoded('JPEG', progressive=True)
WHOLE = {'jpeg': JPEG, 'progressive': PROGRESSIVE, 'png': PNG}


@pytest.fixture
def defect(tmp_path):
    def judge(content, name='a.jpg'):
        (tmp_path / name).write_bytes(content)
        return file_defect(str(tmp_path / name))

    return judge


@pytest.mark.parametrize('name', WHOLE)
def test_whole_files(defect, name, monkeypatch):
    # Usual files are never decoded.
    monkeypatch.setattr(image_files, 'decodes', lambda path: 1 / 0)
    assert defect(WHOLE[name]) is None
    assert defect(WHOLE[name] + bytes(TAIL // 2)) is None


@pytest.mark.parametrize(
    'trailer', [bytes(3 * TAIL), b'\x00maker notes' * 999]
)
@pytest.mark.parametrize('name', WHOLE)
def test_long_trailers_are_harmless(defect, name, trailer):
    assert defect(WHOLE[name] + trailer) is None


@pytest.mark.parametrize('kept', [0.05, 0.5, 0.95])
@pytest.mark.parametrize('padding', [0, 100, 3 * TAIL])
@pytest.mark.parametrize('name', WHOLE)
def test_truncated_files(defect, name, kept, padding):
    """As an interrupted copy leaves them, also with room kept by zeros."""
    cut = WHOLE[name][: int(kept * len(WHOLE[name]))] + bytes(padding)
    kind = 'PNG' if name == 'png' else 'JPEG'
    assert defect(cut) == f'is truncated: it is a {kind} without its end'


@pytest.mark.parametrize('lost', [1, 2])
@pytest.mark.parametrize('name', WHOLE)
def test_a_lost_end_mark(defect, name, lost):
    assert 'is truncated' in defect(WHOLE[name][:-lost])


@pytest.mark.parametrize('kind', ['GIF', 'BMP', 'TIFF', 'PPM', 'WEBP', 'PNG'])
def test_another_format_than_the_name_says(defect, kind):
    assert defect(encoded(kind)) is None


def test_files_that_are_none(defect, tmp_path):
    assert defect(b'') == 'is empty (0 bytes)'
    assert defect(b'<html>Not found</html>') == 'is no image file'
    assert defect(b'\xff\xd8\xff') is not None
    assert defect(bytes(5000)) == 'is no image file'
    assert file_defect(str(tmp_path / 'b.jpg')) == 'does not exist'
    assert file_defect(str(tmp_path / 'b\0.jpg')) == 'does not exist'
    assert 'cannot be read (Is a directory)' == file_defect(str(tmp_path))


def test_many_files_in_order(tmp_path):
    names = [str(tmp_path / f'{i:03d}.jpg') for i in range(150)]
    for name in names:
        with open(name, 'wb') as file:
            file.write(JPEG if int(name[-7:-4]) % 50 else b'')
    empty = 'is empty (0 bytes)'
    expected = [(names[i], empty) for i in (0, 50, 100)]
    assert file_defects(names) == file_defects(names, workers=1) == expected
    assert file_defects([]) == []
