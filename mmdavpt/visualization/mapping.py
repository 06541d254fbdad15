"""Draw which classes share a prompt, at several times side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import ACCENT, INK, PALE, readable_names

# In inches.
_LEFT, _COLUMN, _GAP, _PICTURE = 1.05, 4.65, 0.35, 0.7
_HEAD, _FOOT, _PAD = 0.55, 0.45, 0.07


def prompt_groups(
    mapping: Sequence[int], num_prompts: int | None = None
) -> list[list[int]]:
    """Group classes by their prompt.

    Args:
        mapping (Sequence[int]): The prompt of each class, with shape (K, );
            -1 for a class without a prompt.
        num_prompts (int, optional): The number of prompts ``P``. Defaults to
            None: up to the highest in the mapping.

    Returns:
        list[list[int]]: The classes of each prompt, in order; an unassigned
        prompt has none.

    Raises:
        ValueError: If the mapping leaves [-1, P).
    """
    mapping = np.asarray(mapping)
    if num_prompts is None:
        num_prompts = int(mapping.max()) + 1
    if mapping.min() < -1 or mapping.max() >= num_prompts:
        raise ValueError(
            f'a mapping to {num_prompts} prompts should lie in '
            f'[-1, {num_prompts}), but got values from {int(mapping.min())} '
            f'to {int(mapping.max())}'
        )
    return [np.flatnonzero(mapping == p).tolist() for p in range(num_prompts)]


def moved_classes(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Return the classes whose prompt differs between two mappings.

    Args:
        before (Sequence[int]): A mapping with shape (K, ).
        after (Sequence[int]): Another one of the same shape.
    """
    return np.flatnonzero(np.not_equal(before, after)).tolist()


def mapping_figure(
    class_names: Sequence[str],
    mappings: Sequence[tuple[str, Sequence[int]]],
    num_prompts: int | None = None,
    pictures: Sequence[np.ndarray] | None = None,
) -> Figure:
    """Draw the classes of each prompt, one row per prompt.

    A class whose prompt changes to the next mapping is coloured in both.

    Args:
        class_names (Sequence[str]): The name of each class; single characters
            are drawn large.
        mappings (Sequence[tuple[str, Sequence[int]]]): Title and mapping,
            (K, ), of each column, such as before and after training.
        num_prompts (int, optional): See :func:`prompt_groups`; at least the
            highest of all mappings. Defaults to None.
        pictures (Sequence[np.ndarray], optional): An example of each class,
            uint8, RGB, (H, W, 3). Defaults to None.

    Returns:
        Figure: The figure.

    Raises:
        ValueError: If a mapping does not fit the names.
    """
    for title, mapping in mappings:
        if len(mapping) != len(class_names):
            raise ValueError(
                f'the mapping {title!r} has {len(mapping)} classes, but there '
                f'are {len(class_names)} class names'
            )
    values = [np.asarray(mapping) for _, mapping in mappings]
    if num_prompts is None:
        num_prompts = max(int(v.max()) for v in values) + 1
    names, families = readable_names(class_names)
    cell, line, style = _cell(names, pictures)
    rows = _rows(values, num_prompts)
    per_line = max(1, int(_COLUMN / cell))
    heights = [
        line * -(-max(1, *map(len, columns), 1) // per_line) + 2 * _PAD
        for _, columns in rows
    ]
    tops = _HEAD + np.cumsum([0, *heights])
    width, height = _LEFT + len(values) * (_COLUMN + _GAP), tops[-1] + _FOOT
    moved = _moved_by_column(values)
    with rc_context({'font.family': families}):
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        ax.set_axis_off()
        ax.hlines(tops[:-1], 0, width, color='#dddddd', linewidth=1)
        for c, (title, _) in enumerate(mappings):
            start = _LEFT + c * (_COLUMN + _GAP)
            _write(ax, start, _HEAD / 2, title, size=13)
            for (label, columns), top, h in zip(
                rows, tops[:-1], heights, strict=True
            ):
                pale = dict(color=PALE, style='italic')
                if c == 0:
                    _write(ax, 0.1, top + h / 2, label, color=PALE)
                if not columns[c] and label != 'no prompt':
                    _write(ax, start, top + h / 2, 'unassigned', **pale)
                for i, k in enumerate(columns[c]):
                    x = start + i % per_line * cell
                    y = top + _PAD + i // per_line * line
                    bold = dict(color=ACCENT, weight='bold')
                    look = style | (bold if k in moved[c] else {})
                    _write(ax, x, y + line - 0.1, names[k], **look)
                    if pictures is not None:
                        box = x, y, _PICTURE, _PICTURE
                        box = ax.inset_axes(box, transform=ax.transData)
                        box.imshow(pictures[k])
                        box.set_axis_off()
        if len(values) > 1:
            number = len(set().union(*moved))
            text = f'{number} of {len(names)} classes changed their prompt'
            _write(ax, _LEFT, height - _FOOT / 2, text, color=ACCENT)
    return figure


def _cell(
    names: Sequence[str], pictures: Sequence[np.ndarray] | None
) -> tuple[float, float, dict]:
    """Return width and height of a class, and the style of its name."""
    # East Asian letters are about twice as wide.
    letters = max(sum(1 + (c > '\u2e80') for c in name) for name in names)
    side = 0.0 if pictures is None else _PICTURE
    large = max(map(len, names)) <= 2
    width = 0.36 if large else 0.095 * letters + 0.16
    style = dict(va='baseline', size=17 if large else 10)
    return max(width, side + 0.1), 0.36 + side, style


def _rows(
    values: Sequence[np.ndarray], num_prompts: int
) -> list[tuple[str, list[list[int]]]]:
    """Return the label of each row, and its classes by column."""
    groups = [prompt_groups(v, num_prompts) for v in values]
    rows = [
        (f'prompt {p}', [group[p] for group in groups])
        for p in range(num_prompts)
    ]
    without = [np.flatnonzero(v == -1).tolist() for v in values]
    return [*rows, ('no prompt', without)] if any(without) else rows


def _moved_by_column(values: Sequence[np.ndarray]) -> list[set[int]]:
    """Return the classes that move before or after each mapping."""
    moved = [set() for _ in values]
    for i, pair in enumerate(zip(values, values[1:], strict=False)):
        for classes in moved[i : i + 2]:
            classes.update(moved_classes(*pair))
    return moved


def _write(ax: Axes, x: float, y: float, text: str, **style: object) -> None:
    style = dict(size=10, color=INK, va='center') | style
    ax.text(x, y, text, parse_math=False, **style)
