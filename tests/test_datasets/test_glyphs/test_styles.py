"""Styles of glyphs."""

import pytest

from mmdavpt.datasets.glyphs.styles import GlyphStyle, style_from


@pytest.mark.parametrize(
    'style, sentence',
    [
        ('smooth', "one of .*'clean', 'inverted', 'rough'.* but got 'smooth'"),
        (dict(base='rough', ink_colour=1), "argument 'ink_colour'"),
    ],
)
def test_report_bad_styles(style, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        style_from(style)


def test_style_from_name_changes_or_object():
    assert style_from('rough') is not None
    assert style_from(dict(base='rough', noise=0.0)).strokes == 2
    assert style_from(dict(noise=0.0)).noise == 0.0
    style = GlyphStyle(noise=0.2)
    assert style_from(style) is style
