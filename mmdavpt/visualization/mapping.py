"""Which classes share a prompt, at several times side by side."""

from typing import List, Optional, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure

from .figures import ACCENT, INK, PALE, save_figure

# In inches.
_LINE, _LETTER, _LEFT, _COLUMN, _GAP = 0.36, 0.31, 1.05, 4.65, 0.35


def prompt_groups(
    mapping: Sequence[int], num_prompts: Optional[int] = None
) -> List[List[int]]:
    """Group classes by their prompt.

    Args:
        mapping (Sequence[int]): The prompt of each class, with shape (K, );
            -1 for a class without a prompt.
        num_prompts (int, optional): The number of prompts ``P``. Defaults to
            None: up to the highest in the mapping.

    Returns:
        List[List[int]]: The classes of each prompt, in order; an unassigned
        prompt has none.

    Raises:
        ValueError: If the mapping is not (K, ) or leaves [-1, P).
    """
    mapping = np.asarray(mapping)
    if mapping.ndim != 1 or not len(mapping):
        raise ValueError(
            f'a mapping should have the shape (K, ), but got {mapping.shape}'
        )
    if num_prompts is None:
        num_prompts = int(mapping.max()) + 1
    if mapping.min() < -1 or mapping.max() >= num_prompts:
        raise ValueError(
            f'a mapping to {num_prompts} prompts should lie in '
            f'[-1, {num_prompts}), but got values from {int(mapping.min())} '
            f'to {int(mapping.max())}'
        )
    return [np.flatnonzero(mapping == p).tolist() for p in range(num_prompts)]


def moved_classes(before: Sequence[int], after: Sequence[int]) -> List[int]:
    """Return the classes whose prompt differs between two mappings.

    Raises:
        ValueError: If the mappings have different numbers of classes.
    """
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape:
        raise ValueError(
            'mappings can only be compared over the same classes, but got '
            f'{len(before)} and {len(after)} of them'
        )
    return np.flatnonzero(before != after).tolist()


def mapping_figure(
    class_names: Sequence[str],
    mappings: Sequence[Tuple[str, Sequence[int]]],
    num_prompts: Optional[int] = None,
) -> Figure:
    """Lay out the classes of each prompt, one row a prompt.

    A class whose prompt changes to the next mapping is coloured in both.

    Args:
        class_names (Sequence[str]): The name of each class; single characters
            are drawn large.
        mappings (Sequence[Tuple[str, Sequence[int]]]): Title and mapping,
            (K, ), of each column, such as before and after training.
        num_prompts (int, optional): See :func:`prompt_groups`; at least the
            highest of all mappings. Defaults to None.

    Returns:
        Figure: The layout.

    Raises:
        ValueError: If there is no mapping, or one does not fit the names.
    """
    if not len(mappings):
        raise ValueError('at least one mapping is needed, but got none')
    for title, mapping in mappings:
        if len(mapping) != len(class_names):
            raise ValueError(
                f'the mapping {title!r} has {len(mapping)} classes, but '
                f'{len(class_names)} class names were given'
            )
    values = [np.asarray(mapping) for _, mapping in mappings]
    if num_prompts is None:
        num_prompts = max(int(v.max()) for v in values) + 1
    moved = [set() for _ in values]
    for i in range(len(values) - 1):
        changed = moved_classes(values[i], values[i + 1])
        moved[i].update(changed)
        moved[i + 1].update(changed)

    # rows[r][c]: the lines of names of prompt r in column c.
    columns = [prompt_groups(v, num_prompts) for v in values]
    without = [np.flatnonzero(v == -1).tolist() for v in values]
    labels = [f'prompt {p}' for p in range(num_prompts)]
    rows = [
        [_lines(c[p], class_names) for c in columns]
        for p in range(num_prompts)
    ]
    if any(without):
        labels.append('no prompt')
        rows.append([_lines(w, class_names) for w in without])
    heights = [max(1, *map(len, row)) * _LINE + 0.14 for row in rows]
    head, foot = 0.55, 0.45 if len(values) > 1 else 0.15
    width = _LEFT + len(values) * (_COLUMN + _GAP)
    height = head + sum(heights) + foot

    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.set_axis_off()
    large = max(map(len, map(str, class_names))) <= 2
    for c, (title, _) in enumerate(mappings):
        ax.text(_start(c), head * 0.5, title, size=13, color=INK, va='center')
    top = head
    for label, row, row_height in zip(labels, rows, heights, strict=True):
        ax.plot((0.15, width - 0.15), (top, top), color='#dddddd', linewidth=1)
        ax.text(
            _LEFT - 0.15,
            top + row_height / 2,
            label,
            size=10,
            color=PALE,
            ha='right',
            va='center',
        )
        for c, lines in enumerate(row):
            if not lines and label.startswith('prompt'):
                ax.text(
                    _start(c),
                    top + 0.07 + _LINE / 2,
                    'unassigned',
                    size=10,
                    style='italic',
                    color=PALE,
                    va='center',
                )
            _draw_lines(
                ax, lines, class_names, moved[c], _start(c), top + 0.07, large
            )
        top += row_height
    if len(values) > 1:
        ax.text(
            _LEFT,
            height - foot / 2,
            f'{len(set().union(*moved))} of {len(class_names)} classes '
            'changed their prompt',
            size=10,
            color=ACCENT,
            va='center',
        )
    return figure


def draw_mapping(
    class_names: Sequence[str],
    mappings: Sequence[Tuple[str, Sequence[int]]],
    path: str,
    num_prompts: Optional[int] = None,
) -> None:
    """Draw :func:`mapping_figure` into the file ``path``."""
    save_figure(mapping_figure(class_names, mappings, num_prompts), path)


def _start(column: int) -> float:
    return _LEFT + column * (_COLUMN + _GAP)


def _advance(name: str) -> float:
    """Return the width kept for a name, in inches."""
    return _LETTER if len(name) <= 2 else 0.095 * len(name) + 0.16


def _lines(
    classes: Sequence[int], class_names: Sequence[str]
) -> List[List[int]]:
    """Break classes into lines that fit a column."""
    lines, used = [], _COLUMN
    for k in classes:
        advance = _advance(str(class_names[k]))
        if used + advance > _COLUMN:
            lines.append([])
            used = 0.0
        lines[-1].append(k)
        used += advance
    return lines


def _draw_lines(
    ax,
    lines: Sequence[Sequence[int]],
    class_names: Sequence[str],
    moved: set,
    left: float,
    top: float,
    large: bool,
) -> None:
    for i, line in enumerate(lines):
        x = left
        for k in line:
            name = str(class_names[k])
            # Single characters stand in columns, whatever their width.
            ax.text(
                x + 0.4 * _LETTER if large else x,
                top + (i + 0.72) * _LINE,
                name,
                ha='center' if large else 'left',
                size=17 if large else 10,
                color=ACCENT if k in moved else INK,
                weight='bold' if k in moved else 'normal',
                va='baseline',
                parse_math=False,
            )
            x += _advance(name)
