"""Colours, fonts and files of all figures."""

import os
import os.path as osp
import warnings
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.font_manager import (
    FontProperties,
    findfont,
    fontManager,
    get_font,
)

#: Colours of everything that is not data.
INK, PALE, ACCENT = '#222222', '#9a9a9a', '#c8321e'


def save_figure(figure: Figure, path: str, dpi: int = 120) -> None:
    """Save a figure as a picture; create its folder.

    A figure made without pyplot needs no display and is freed with its last
    reference.

    Args:
        figure (Figure): The figure.
        path (str): The file; its suffix chooses the format.
        dpi (int): Dots per inch. Defaults to 120.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    figure.savefig(path, dpi=dpi, facecolor='white')


def readable_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Choose fonts that have the glyphs of all names.

    If no installed font has the glyphs that matplotlib's default font lacks,
    a warning says so, and names with such glyphs become numbers.

    Args:
        names (Sequence[str]): Names, such as those of classes.

    Returns:
        tuple[list[str], list[str]]: The names to draw, and the font families
        to draw them with, for ``rc_context({'font.family': families})``.
    """
    names = [str(name) for name in names]
    default = findfont(FontProperties())
    families = [get_font(default).family_name]
    missing = {c for c in ''.join(names) if not c.isspace()}
    missing -= _characters(default)
    if not missing:
        return names, families
    for font in fontManager.ttflist:
        # The last resort of matplotlib draws boxes for all characters.
        if 'Last Resort' not in font.name:
            if missing <= _characters(font.fname):
                return names, [*families, font.name]
    warnings.warn(
        f'no installed font has {"".join(sorted(missing))[:20]!r}, so names '
        'with such letters are drawn as numbers; install a font that has '
        'them, such as fonts-noto-cjk',
        stacklevel=2,
    )
    return [
        f'#{k}' if missing & set(name) else name
        for k, name in enumerate(names)
    ], families


def _characters(path: str) -> set[str]:
    """Return the characters that a font file has glyphs for."""
    return set(map(chr, get_font(path).get_charmap()))
