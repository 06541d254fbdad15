"""Which classes share a prompt, with example images, at several times."""

from collections.abc import Mapping, Sequence
from functools import partial
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import ACCENT, INK, PALE

#: In inches: of a column, and what is around it.
_COLUMN, _LEFT, _GAP, _HEAD, _PAD = 4.0, 1.05, 0.35, 0.55, 0.07


def mapping_figure(
    class_names: Sequence[str],
    mappings: Sequence[tuple[str, Sequence[int]]],
    pictures: Mapping[int, np.ndarray] | None = None,
    num_prompts: int = 0,
) -> Figure:
    """Draw the classes of each prompt: a row per prompt, a column per time.

    A class whose prompt changes from one time to the next is colored.

    Args:
        class_names (Sequence[str]): The name of each class.
        mappings (Sequence[tuple[str, Sequence[int]]]): Title and mapping,
            (K, ), of each column; -1 is a class without a prompt.
        pictures (Mapping[int, np.ndarray], optional): Class to an image of
            it, uint8, RGB, (H, W, 3). Defaults to None: only names.
        num_prompts (int): How many to draw at least. Defaults to 0.

    Raises:
        ValueError: If a mapping does not fit the names.
    """
    for title, mapping in mappings:
        if len(mapping) != len(class_names):
            raise ValueError(
                f'{title} maps {len(mapping)} classes, not {len(class_names)}'
            )
    values = np.stack([mapping for _, mapping in mappings])
    rows = [*range(max(num_prompts, values.max() + 1))]
    rows += [-1] * bool(values.min() < 0)
    pictures, picture = pictures or {}, 0.6 * bool(pictures)
    letters = max(map(len, class_names)) <= 2 and not pictures
    wide, high, size = (0.31, 0.36, 17) if letters else (0.98, 0.36, 8)
    high, across = high + picture, int(_COLUMN / wide)
    most = [(values == p).sum(axis=1).max() for p in rows]
    heights = [2 * _PAD + (-(-n // across) * high or 0.1) for n in most]
    tops = np.cumsum([_HEAD, *heights])
    ax, write = _canvas(_left(len(values)), tops[-1] + 0.45)
    for c, (title, _) in enumerate(mappings):
        write(_left(c), _HEAD / 2, title, size=13)
    for p, top, height in zip(rows, tops, heights, strict=False):
        ax.axhline(top, color=PALE, linewidth=0.5)
        label, y = f'prompt {p}' if p >= 0 else 'no prompt', top + height / 2
        write(_LEFT - 0.15, y, label, color=PALE, ha='right')
        for c in np.flatnonzero((values != p).all(axis=1) & (p >= 0)):
            write(_left(c), y, 'unassigned', color=PALE)
    changes = values[1:] != values[:-1]
    for c, k in np.ndindex(values.shape):
        i = (values[c, :k] == values[c, k]).sum()  # before it in the row
        x = _left(c) + i % across * wide
        y = tops[rows.index(values[c, k])] + _PAD + i // across * high
        if k in pictures:
            _draw(ax, pictures[k], x, y, picture)
        # To the next mapping, or from the one before.
        moved = changes[max(c - 1, 0) : c + 1, k].any()
        style = dict(va='top', size=size, color=ACCENT if moved else INK)
        write(x, y + picture + 0.03, _wrap(class_names[k]), **style)
    if len(values) > 1:
        text = f'{changes.any(0).sum()} of {len(changes[0])} classes changed'
        write(_LEFT, tops[-1] + 0.22, f'{text} their prompt', color=ACCENT)
    return ax.figure


def _wrap(name: str) -> str:
    # Letters of other scripts are up to twice as wide.
    width = 12 if name.isascii() else 8
    return fill(name, width, max_lines=2, placeholder='…')


def _canvas(width: float, height: float) -> tuple[Axes, partial]:
    """Return axes in inches, from the upper left, and what writes there."""
    ax = Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.set_axis_off()
    ax.set_autoscale_on(False)  # pictures would change the limits
    return ax, partial(ax.text, color=INK, va='center', parse_math=False)


def _left(column: int) -> float:
    return _LEFT + column * (_COLUMN + _GAP)


def _draw(
    ax: Axes, picture: np.ndarray, x: float, y: float, side: float
) -> None:
    """Draw a picture in a square."""
    scale = side / max(picture.shape[:2])
    height, width = (n * scale for n in picture.shape[:2])
    ax.imshow(picture, extent=(x, x + width, y + height, y), aspect='auto')
