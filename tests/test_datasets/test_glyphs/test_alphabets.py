"""Characters look different, and every face has them."""

import zlib

import numpy as np
import pytest

from mmdavpt.datasets.glyphs.alphabets import (
    ALPHABETS,
    FACES,
    MULTISCRIPT_FACES,
    faces_from,
)
from mmdavpt.datasets.glyphs.rendering import _em_square
from tools.dataset_converters.glyph_writers.arguments import LETTERS

ALL_LATIN = FACES['latin_train'] + FACES['latin_test']


def crc(array):
    return zlib.crc32(array.tobytes())


@pytest.mark.parametrize(
    'alphabet, faces',
    [
        ('greek_cyrillic', MULTISCRIPT_FACES),
        ('latin', FACES['latin_train']),
        ('latin', FACES['latin_test']),
        (LETTERS, MULTISCRIPT_FACES),
    ],
)
def test_characters_differ_in_some_face(alphabet, faces):
    chars = ALPHABETS.get(alphabet, alphabet)
    faces_from(faces, chars)
    pictures = {
        tuple(crc(np.asarray(_em_square(c, f, 32))) for f in faces)
        for c in chars
    }
    assert len(pictures) == len(chars)


def test_letters_differ_in_most_faces():
    # Of the ink of two letters, this much lies apart in the median face:
    # nearly none for A in Latin and Greek, the fewest for two accents.
    drawn = np.array(
        [
            [np.asarray(_em_square(c, f, 16)) for f in MULTISCRIPT_FACES]
            for c in LETTERS + 'Α'
        ],
        dtype=np.float32,
    ).reshape(329, len(MULTISCRIPT_FACES), -1)
    ink = drawn.sum(-1)
    apart = {
        (i, j): np.median(
            np.abs(drawn[i] - drawn[j]).sum(-1) / np.maximum(ink[i], ink[j])
        )
        for i in range(329)
        for j in range(i)
    }
    alike = apart.pop((328, LETTERS.index('A')))
    assert alike < 0.02
    assert min(v for (i, _), v in apart.items() if i < 328) > 0.03


def test_characters_are_not_clipped():
    for chars, faces in (
        (ALPHABETS['greek_cyrillic'], MULTISCRIPT_FACES),
        (ALPHABETS['latin'], ALL_LATIN),
        (LETTERS, MULTISCRIPT_FACES),
    ):
        for face in faces:
            for char in chars:
                ink = np.asarray(_em_square(char, face, 32))
                assert ink.max() > 100, (char, face)
                border = np.concatenate(
                    [ink[0], ink[-1], ink[:, 0], ink[:, -1]]
                )
                assert not border.any(), (char, face)


def test_faces_of_the_splits_are_disjoint():
    assert not set(FACES['latin_train']) & set(FACES['latin_test'])
    assert len(set(ALL_LATIN)) == len(ALL_LATIN) == 20
    assert all('Bol' in f or f == 'cmb10' for f in FACES['latin_test'])
    assert not any('Bol' in f for f in FACES['latin_train'])


def test_faces_are_in_every_supported_matplotlib():
    # Newer ones ship more, such as cmti10 since 3.11.
    for face in ALL_LATIN + MULTISCRIPT_FACES:
        assert face.startswith(('DejaVu', 'STIXGeneral')) or face in (
            'cmb10',
            'cmr10',
            'cmss10',
            'cmtt10',
        )


def test_alphabets_have_each_character_once():
    assert {k: len(v) for k, v in ALPHABETS.items()} == {
        'greek_cyrillic': 101,
        'latin': 62,
        'latin_upper': 26,
    }
    for chars in (LETTERS, *ALPHABETS.values()):
        assert len(set(chars)) == len(chars)
    assert len(LETTERS) == 328


def test_report_bad_faces():
    with pytest.raises(ValueError, match="'cmr10' lacks the characters 'ж'"):
        faces_from(['cmr10'], 'Aж')
