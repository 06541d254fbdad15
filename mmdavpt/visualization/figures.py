"""Colours, fonts and files of all figures."""

import os
import os.path as osp
import re
import warnings
from base64 import b64encode
from collections.abc import Sequence
from io import StringIO

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.font_manager import (
    FontProperties,
    findfont,
    fontManager,
    get_font,
)

#: Colours of everything that is not data.
INK, PALE, ACCENT = '#222222', '#9a9a9a', '#c8321e'
#: Colors that color-blind people tell apart (Okabe and Ito), and markers.
COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']
MARKERS = 'os^Dv'
_DARK = (
    'svg{color:#1c2024}text{fill:currentColor}'
    '@media(prefers-color-scheme:dark){svg{color:#e4e7ea}}'
)


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


def to_svg(figure: Figure) -> str:
    """Return a figure as an SVG data URI that follows light and dark pages.

    Text stays text, in fonts of the browser; black and ``INK`` become white
    on dark pages.

    Args:
        figure (Figure): The figure.
    """
    buffer = StringIO()
    with rc_context({'svg.fonttype': 'none'}), warnings.catch_warnings():
        # The browser has fonts that matplotlib lacks.
        warnings.filterwarnings('ignore', 'Glyph .* missing from')
        style = dict(transparent=True, dpi=150, metadata={'Date': None})
        figure.savefig(buffer, format='svg', **style)
    svg = re.sub(f'#000000|{INK}', 'currentColor', buffer.getvalue())
    svg = svg.replace('<defs>', f'<style>{_DARK}</style><defs>', 1)
    content = b64encode(svg.encode()).decode()
    return f'data:image/svg+xml;base64,{content}'


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
