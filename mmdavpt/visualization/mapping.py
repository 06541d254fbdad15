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

    A class whose prompt changes to the next mapping is colored in both.

    Args:
        class_names (Sequence[str]): The name of each class; single characters
            are drawn large.
        mappings (Sequence[tuple[str, Sequence[int]]]): Title and mapping,
            (K, ), of each column; -1 is a class without a prompt.
        pictures (Mapping[int, np.ndarray], optional): Class to an image of
            it, uint8, RGB, (H, W, 3). Defaults to None: only names.
        num_prompts (int): The number of prompts. Defaults to 0: up to the
            highest in the mappings, which are drawn in any case.

    Raises:
        ValueError: If a mapping does not fit the names.
    """
    for title, mapping in mappings:
        if len(mapping) != len(class_names):
            raise ValueError(
                f'the mapping {title!r} has {len(mapping)} classes, but there '
                f'are {len(class_names)} class names'
            )
    values = np.stack([mapping for _, mapping in mappings])
    changes = values[1:] != values[:-1]
    moved = np.zeros(values.shape, dtype=bool)
    moved[1:] |= changes
    moved[:-1] |= changes
    pictures, picture = pictures or {}, 0.6 if pictures else 0.0
    letters = max(map(len, class_names)) <= 2 and not pictures
    wide, high, size = (0.31, 0.36, 17) if letters else (0.98, 0.36, 8)
    high, across = high + picture, int(_COLUMN / wide)
    # Letters of other scripts are up to twice as wide.
    texts = [
        fill(name, 14 if name.isascii() else 7, max_lines=2, placeholder='…')
        for name in class_names
    ]
    rows = [*range(max(num_prompts, values.max() + 1))]
    rows += [-1] * bool(values.min() < 0)
    most = [(values == p).sum(axis=1).max() for p in rows]
    heights = [max(1, -(-n // across)) * high + 2 * _PAD for n in most]
    tops = np.cumsum([_HEAD, *heights])
    extent = _left(len(values)), tops[-1] + 0.45
    ax = Figure(figsize=extent).add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, extent[0]), ylim=(extent[1], 0))
    ax.set_axis_off()
    ax.set_autoscale_on(False)  # pictures would change the limits
    write = partial(ax.text, color=INK, va='center', parse_math=False)
    for c, (title, _) in enumerate(mappings):
        write(_left(c), _HEAD / 2, title, size=13)
        for p, top, height in zip(rows, tops, heights, strict=False):
            middle = top + height / 2
            if not c:
                ax.axhline(top, color=PALE, linewidth=0.5)
                label = f'prompt {p}' if p >= 0 else 'no prompt'
                write(_LEFT - 0.15, middle, label, color=PALE, ha='right')
            classes = np.flatnonzero(values[c] == p)
            if not len(classes) and p >= 0:
                write(_left(c), middle, 'unassigned', color=PALE)
            for i, k in enumerate(classes):
                x = _left(c) + i % across * wide
                y = top + _PAD + i // across * high
                if k in pictures:
                    _draw(ax, pictures[k], x, y, picture)
                color = ACCENT if moved[c, k] else INK
                style = dict(va='top', size=size, color=color)
                write(x, y + picture + 0.03, texts[k], **style)
    if len(values) > 1:
        text = f'{changes.any(0).sum()} of {len(texts)} classes changed their'
        write(_LEFT, tops[-1] + 0.22, f'{text} prompt', color=ACCENT)
    return ax.figure


def _left(column: int) -> float:
    return _LEFT + column * (_COLUMN + _GAP)


def _draw(
    ax: Axes, picture: np.ndarray, x: float, y: float, side: float
) -> None:
    """Draw a picture in a square."""
    scale = side / max(picture.shape[:2])
    height, width = (n * scale for n in picture.shape[:2])
    ax.imshow(picture, extent=(x, x + width, y + height, y), aspect='auto')
