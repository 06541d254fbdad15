"""Classes of single glyphs."""

import pytest

from mmdavpt.datasets.glyphs.styles import STYLES
from tools.dataset_converters.glyph_writers.single_glyphs import (
    LETTERS,
    GlyphOptions,
    glyph_classes,
)


@pytest.mark.parametrize('num_classes', [1, 200, 328, 329, 555, 656])
def test_classes_look_different(num_classes):
    classes = glyph_classes(num_classes)
    assert len(classes) == num_classes
    assert len({c.name for c in classes}) == num_classes
    pictures = {(c.char, c.style.swap) for c in classes}
    assert len(pictures) == num_classes


def test_letters_precede_inverted_letters():
    classes = glyph_classes(555)
    assert [c.char for c in classes[:328]] == list(LETTERS)
    assert {c.style for c in classes[:328]} == {STYLES['clean']}
    assert (classes[328].name, classes[328].char) == ('0 inverted', '0')
    assert classes[328].style.swap == 1.0
    inverted = glyph_classes(329, 'inverted')
    assert [inverted[0].style.swap, inverted[328].style.swap] == [1.0, 0.0]


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        ((0,), 'num_classes should be an integer of at least 1'),
        ((657,), 'at most 656 classes, but got 657'),
        ((329, 'rough'), '329 classes are more than the 328 letters'),
        ((329, dict(swap=0.5)), 'fixed order of ink'),
    ],
)
def test_report_too_many_classes(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        glyph_classes(*arguments)
    assert len(glyph_classes(328, 'rough')) == 328


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(img_suffix='.bmp'), 'img_suffix should be one of'),
        (dict(seed=-1), 'seed should be an integer of at least 0'),
        (dict(size=8), 'size should be an integer of at least 16'),
        (dict(num_workers=-1), 'num_workers should be'),
        (dict(style='smooth'), "but got 'smooth'"),
    ],
)
def test_report_bad_options(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        GlyphOptions(**options)
