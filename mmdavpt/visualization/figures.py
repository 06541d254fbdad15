"""What all pictures share: their looks and how they are saved."""

import os
import os.path as osp
import re
from typing import List

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

#: Colours of everything that is not data.
INK, PALE, ACCENT = '#222222', '#9a9a9a', '#c8321e'

# Letters are fitted to pixels, which makes small text wider than its outline.
_HINTING = 1.05


def save_figure(figure: Figure, path: str, dpi: int = 120) -> None:
    """Save a figure as a picture; its folder is made if need be.

    A figure that pyplot does not know is drawn without a display and freed
    with its last reference.

    Args:
        figure (Figure): The figure.
        path (str): The file; its suffix chooses the format.
        dpi (int): Dots per inch. Defaults to 120.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    figure.savefig(path, dpi=dpi, facecolor='white')


def text_width(text: str, size: float) -> float:
    """Return how wide a line of text is drawn at most, in inches.

    Args:
        text (str): The line; a dollar sign is itself.
        size (float): Size of the font, in points.
    """
    width, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(size=size), ismath=False
    )
    return _HINTING * width / 72


def shorten(text: str, width: float, size: float) -> str:
    """Cut a text in its middle until it fits, with an ellipsis there.

    Args:
        text (str): The text.
        width (float): What it has to fit, in inches.
        size (float): Size of the font, in points.

    Returns:
        str: The text, or its beginning and end; at least the ellipsis.
    """
    shown, kept = text, len(text)
    while kept and text_width(shown, size) > width:
        kept -= 1
        head = -(-kept // 2)
        shown = f'{text[:head]}…{text[len(text) - kept + head :]}'
    return shown


def wrap(text: str, width: float, size: float, lines: int) -> List[str]:
    """Break a text into lines that fit, after a space or a joint if possible.

    Args:
        text (str): The text.
        width (float): What a line has to fit, in inches.
        size (float): Size of the font, in points.
        lines (int): The most lines; the last is shortened to fit.

    Returns:
        List[str]: The lines.
    """
    broken = ['']
    for piece in re.findall(r'[^\s_,;/-]*[\s_,;/-]*', text):
        joined = broken[-1] + piece
        full = text_width(joined.rstrip(), size) > width
        if full and broken[-1] and len(broken) < lines:
            broken.append(piece)
        else:
            broken[-1] = joined
    return [shorten(line.rstrip(), width, size) for line in broken]
