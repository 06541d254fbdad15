"""Glyphs and scenes are pure functions of their seeds, and can be told."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdavpt.datasets import ALPHABETS, STYLES, GlyphStyle
from mmdavpt.datasets.glyph_rendering import (
    LATIN_FACES,
    MULTISCRIPT_FACES,
    _em_square,
    alphabet_from,
    check_faces,
    render_glyph,
    render_scene,
    style_from,
)

ALL_LATIN = LATIN_FACES['train'] + LATIN_FACES['test']
LETTERS = ALPHABETS['latin_upper']
# An ink that no style reaches, on plain paper: what is dark is the glyph.
PLAIN = GlyphStyle(
    ink=(0.0, 0.0), paper=(1.0, 1.0), colour=0.0, texture=0.0, noise=0.0
)


def crc(array):
    return zlib.crc32(array.tobytes())


@pytest.mark.parametrize(
    'index, char, style, expected',
    [
        (0, 'A', 'clean', 3477345760),
        (1, 'Ω', 'clean', 1615323372),
        (2, 'ж', 'rough', 162877550),
        (3, 'g', 'rough', 3631901948),
    ],
)
def test_glyphs_are_the_same_bytes_everywhere(index, char, style, expected):
    # Seen with Python 3.10, 3.11 and 3.12 and their pinned versions.
    image = render_glyph(
        char, MULTISCRIPT_FACES, (7, index), style=STYLES[style]
    )
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
    assert crc(image) == expected


@pytest.mark.parametrize(
    'index, style, expected',
    [
        (0, 'clean', (1641807043, 45585392)),
        (1, 'rough', (662410281, 3719722131)),
    ],
)
def test_scenes_are_the_same_bytes_everywhere(index, style, expected):
    image, annotation = render_scene(
        LETTERS, LATIN_FACES['train'], (7, index), (96, 128), STYLES[style]
    )
    assert image.shape == (96, 128, 3) and image.dtype == np.uint8
    assert annotation.shape == (96, 128) and annotation.dtype == np.uint8
    assert (crc(image), crc(annotation)) == expected


def test_bytes_do_not_depend_on_what_was_drawn_before():
    one = render_glyph('Q', MULTISCRIPT_FACES, (0, 5), (300, 300))
    _em_square.cache_clear()
    for i in range(5):
        render_glyph('R', MULTISCRIPT_FACES, (0, i))
    assert np.array_equal(
        one, render_glyph('Q', MULTISCRIPT_FACES, (0, 5), (300, 300))
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_other_seeds_are_other_images(first, second):
    same = np.array_equal(
        render_glyph('A', ALL_LATIN, (first, 0)),
        render_glyph('A', ALL_LATIN, (second, 0)),
    )
    assert same == (first == second)


@pytest.mark.parametrize(
    'alphabet, faces',
    [
        ('greek_cyrillic', MULTISCRIPT_FACES),
        ('latin', LATIN_FACES['train']),
        ('latin', LATIN_FACES['test']),
    ],
)
def test_no_two_characters_are_one_picture_in_all_faces(alphabet, faces):
    chars = ALPHABETS[alphabet]
    check_faces(faces, chars)
    pictures = {
        tuple(crc(np.asarray(_em_square(c, f, 32))) for f in faces)
        for c in chars
    }
    assert len(pictures) == len(chars)


def test_characters_are_drawn_whole():
    for chars, faces in (
        (ALPHABETS['greek_cyrillic'], MULTISCRIPT_FACES),
        (ALPHABETS['latin'], ALL_LATIN),
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
    assert not set(LATIN_FACES['train']) & set(LATIN_FACES['test'])
    assert len(set(ALL_LATIN)) == len(ALL_LATIN) == 20
    assert all('Bol' in f or f == 'cmb10' for f in LATIN_FACES['test'])
    assert not any('Bol' in f for f in LATIN_FACES['train'])


def test_faces_are_shipped_by_every_matplotlib_that_is_allowed():
    # Newer ones ship more, such as cmti10 since 3.11.
    for face in ALL_LATIN + MULTISCRIPT_FACES:
        assert face.startswith(('DejaVu', 'STIXGeneral')) or face in (
            'cmb10',
            'cmr10',
            'cmss10',
            'cmtt10',
        )


def test_alphabets_hold_each_character_once():
    assert {k: len(v) for k, v in ALPHABETS.items()} == {
        'greek_cyrillic': 101,
        'latin': 62,
        'latin_upper': 26,
    }
    assert all(len(set(v)) == len(v) for v in ALPHABETS.values())


@pytest.mark.parametrize('index', range(8))
def test_ink_is_there_and_dark(index):
    image = render_glyph('H', ALL_LATIN, (1, index), style=PLAIN)
    assert image.max() == 255 and image.min() == 0
    assert 0.02 < (image < 128).mean() < 0.5


def test_swap_exchanges_ink_and_paper():
    swapped = style_from(dict(vars(PLAIN), swap=1.0))
    image = render_glyph('H', ALL_LATIN, (1, 0), style=PLAIN)
    negative = render_glyph('H', ALL_LATIN, (1, 0), style=swapped)
    assert np.abs(negative.astype(int) - (255 - image)).max() <= 1


@pytest.mark.parametrize(
    'field, value',
    [
        ('swap', 1.0),
        ('colour', 0.5),
        ('texture', 0.5),
        ('noise', 0.5),
        ('size', (0.3, 0.4)),
        ('rotation', 90.0),
        ('shift', 0.4),
        ('strokes', 5),
        ('ink', (0.3, 0.35)),
        ('paper', (0.5, 0.6)),
    ],
)
def test_every_field_of_a_style_changes_the_image(field, value):
    changed = style_from({field: value})
    assert not np.array_equal(
        render_glyph('A', ALL_LATIN, (0, 0)),
        render_glyph('A', ALL_LATIN, (0, 0), style=changed),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(96, 96), (40, 130), (17, 16)]))
def test_annotations_hold_nothing_paper_and_characters(index, size):
    _, annotation = render_scene(LETTERS, ALL_LATIN, (3, index), size)
    labels = set(np.unique(annotation).tolist())
    assert annotation.shape == size
    assert 1 in labels
    assert labels <= set(range(2 + len(LETTERS)))


def test_annotation_tells_where_the_ink_is():
    for index in range(20):
        image, annotation = render_scene(
            LETTERS, ALL_LATIN, (3, index), style=PLAIN
        )
        characters = annotation >= 2
        assert 1 <= len(np.unique(annotation[characters])) <= 4
        assert image[characters].max() < 128
        assert image[annotation == 1].min() > 225
        # What is neither is the half-inked rim: thin, and beside ink.
        assert 0 < (annotation == 0).mean() < 0.2


def test_number_of_glyphs_is_obeyed():
    for number in (1, 3):
        counts = [
            len(set(np.unique(a).tolist()) - {0, 1})
            for _, a in (
                render_scene(
                    LETTERS, ALL_LATIN, (0, i), num_glyphs=(number, number)
                )
                for i in range(10)
            )
        ]
        assert max(counts) == number


def test_characters_are_counted_before_labels_overflow():
    with pytest.raises(ValueError, match='253 labels'):
        render_scene(''.join(map(chr, range(300, 600))), ALL_LATIN, (0,))


@pytest.mark.parametrize(
    'style, sentence',
    [
        ('smooth', "one of .*'clean', 'inverted', 'rough'.* but got 'smooth'"),
        (dict(base='rough', ink_colour=1), r"no field \['ink_colour'\]"),
        (dict(noise=-0.1), "'noise' should be a number that is not negative"),
        (dict(size=(0.9, 0.5)), "'size' should be a range"),
        (dict(size=(0.0, 0.5)), "'size' should be above 0"),
        (dict(ink=(0.1, 0.2, 0.3)), "'ink' should be a range"),
    ],
)
def test_bad_styles_give_sentences(style, sentence):
    with pytest.raises(ValueError, match=sentence):
        style_from(style)


def test_styles_are_named_changed_or_themselves():
    assert style_from('rough') is not None
    assert style_from(dict(base='rough', noise=0.0)).strokes == 2
    assert style_from(dict(noise=0.0)).noise == 0.0
    assert style_from(PLAIN) is PLAIN


def test_bad_characters_give_sentences():
    for chars in ('A', 'ABA', ''):
        with pytest.raises(ValueError, match='at least two different'):
            alphabet_from(chars)
    with pytest.raises(TypeError, match='one string'):
        alphabet_from(['A', 'B'])
    assert alphabet_from('latin') == ALPHABETS['latin']
    assert alphabet_from('xy') == 'xy'


def test_bad_faces_give_sentences():
    with pytest.raises(ValueError, match="'Arial' is not among the fonts"):
        check_faces(['DejaVuSans', 'Arial'], 'AB')
    with pytest.raises(ValueError, match="'cmr10' lacks the characters 'ж'"):
        check_faces(['cmr10'], 'Aж')
