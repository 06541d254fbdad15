"""Draw which classes share a prompt, at several times side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import (
    ACCENT,
    INK,
    PALE,
    readable_names,
    save_figure,
)

# In inches.
_LINE, _LETTER, _LEFT, _COLUMN, _GAP = 0.36, 0.31, 1.05, 4.65, 0.35
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
    rows = _rows(values, num_prompts, names)
    moved = _moved_by_column(values)
    foot = _FOOT if len(values) > 1 else 2 * _PAD
    width = _LEFT + len(values) * (_COLUMN + _GAP)
    height = _HEAD + sum(_height(lines) for _, lines in rows) + foot
    with rc_context({'font.family': families}):
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, width), ylim=(height, 0))
        ax.set_axis_off()
        for c, (title, _) in enumerate(mappings):
            _write(ax, _start(c), _HEAD / 2, title, size=13)
        top = _HEAD
        for label, lines in rows:
            _draw_row(ax, top, label, lines, names, moved)
            top += _height(lines)
        if len(values) > 1:
            text = (
                f'{len(set().union(*moved))} of {len(names)} classes changed '
                'their prompt'
            )
            _write(ax, _LEFT, height - foot / 2, text, color=ACCENT)
    return figure


def draw_mapping(
    class_names: Sequence[str],
    mappings: Sequence[tuple[str, Sequence[int]]],
    path: str,
    num_prompts: int | None = None,
) -> None:
    """Draw :func:`mapping_figure` into the file ``path``."""
    save_figure(mapping_figure(class_names, mappings, num_prompts), path)


def _rows(
    values: Sequence[np.ndarray], num_prompts: int, names: Sequence[str]
) -> list[tuple[str, list[list[list[int]]]]]:
    """Return the label of each row, and its lines of classes by column."""
    groups = [prompt_groups(v, num_prompts) for v in values]
    rows = [
        (f'prompt {p}', [_break(group[p], names) for group in groups])
        for p in range(num_prompts)
    ]
    without = [np.flatnonzero(v == -1).tolist() for v in values]
    if any(without):
        rows.append(('no prompt', [_break(w, names) for w in without]))
    return rows


def _moved_by_column(values: Sequence[np.ndarray]) -> list[set[int]]:
    """Return the classes that move before or after each mapping."""
    moved = [set() for _ in values]
    for i, pair in enumerate(zip(values, values[1:], strict=False)):
        for classes in moved[i : i + 2]:
            classes.update(moved_classes(*pair))
    return moved


def _height(columns: Sequence[Sequence]) -> float:
    return max(1, *map(len, columns), 1) * _LINE + 2 * _PAD


def _start(column: int) -> float:
    return _LEFT + column * (_COLUMN + _GAP)


def _advance(name: str) -> float:
    """Return the width kept for a name, in inches."""
    if len(name) <= 2:
        return _LETTER
    # East Asian letters are about twice as wide.
    return 0.095 * sum(1 + (c > '\u2e80') for c in name) + 0.16


def _break(classes: Sequence[int], names: Sequence[str]) -> list[list[int]]:
    """Break classes into lines that fit a column."""
    lines, used = [], _COLUMN
    for k in classes:
        if used + _advance(names[k]) > _COLUMN:
            lines.append([])
            used = 0.0
        lines[-1].append(k)
        used += _advance(names[k])
    return lines


def _draw_row(
    ax: Axes,
    top: float,
    label: str,
    columns: Sequence[Sequence[Sequence[int]]],
    names: Sequence[str],
    moved: Sequence[set],
) -> None:
    ax.axhline(top, color='#dddddd', linewidth=1)
    middle = top + _height(columns) / 2
    _write(ax, _LEFT - 0.15, middle, label, color=PALE, ha='right')
    large = max(map(len, names)) <= 2
    for c, lines in enumerate(columns):
        if not lines and label != 'no prompt':
            y = top + _PAD + _LINE / 2
            _write(ax, _start(c), y, 'unassigned', color=PALE, style='italic')
        for i, line in enumerate(lines):
            x = _start(c)
            for k in line:
                _write(
                    ax,
                    # Single characters are centred, whatever their width.
                    x + 0.4 * _LETTER if large else x,
                    top + _PAD + (i + 0.72) * _LINE,
                    names[k],
                    size=17 if large else 10,
                    ha='center' if large else 'left',
                    va='baseline',
                    color=ACCENT if k in moved[c] else INK,
                    weight='bold' if k in moved[c] else 'normal',
                )
                x += _advance(names[k])


def _write(ax: Axes, x: float, y: float, text: str, **style: object) -> None:
    style = dict(size=10, color=INK, va='center') | style
    ax.text(x, y, text, parse_math=False, **style)
