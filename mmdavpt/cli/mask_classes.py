"""Find the classes of segmentation masks."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mmdavpt.datasets.folders import palette
from mmdavpt.datasets.list_files import read_list
from mmdavpt.datasets.load_masks import (
    IGNORED,
    PACK,
    read_values,
    suggest_value_map,
)
from mmdavpt.errors import UsageError, first_few

#: Without names, more values than this are gray levels or a lossy format.
MOST_UNNAMED = 64
#: Files of a dataset that may name its classes.
NAME_FILES = ('classes.txt', 'classes.json', 'labelmap.txt')
Color = tuple[int, ...]


def read_names(folder: Path) -> tuple[list[str], list[Color]]:
    """Read the names of classes, and their colors if a file states them.

    Args:
        folder (Path): With ``classes.txt`` (a name a line),
            ``classes.json`` (a list of names, or ``{name: [r, g, b]}``) or
            CVAT's ``labelmap.txt`` (``name:r,g,b::`` a line).

    Returns:
        tuple[list[str], list[Color]]: Empty if there is no such file.

    Raises:
        UsageError: If a file has another form.
    """
    path = next((folder / n for n in NAME_FILES if (folder / n).is_file()), '')
    if not path:
        return [], []
    try:
        if path.suffix == '.json':
            found = json.loads(path.read_text(encoding='utf-8-sig'))
            colors = [*found.values()] if isinstance(found, dict) else []
            names = [str(name) for name in found]
        else:
            names = [line for _, line in read_list(str(path))]
            colors = []
            if path.name == 'labelmap.txt':
                parts = [n.split(':') for n in names if n[0] != '#']
                names = [part[0] for part in parts]
                colors = [part[1].split(',') for part in parts]
        return names, [tuple(int(c) for c in color) for color in colors]
    except (IndexError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f'{path} should be a list of names, or of names with colors '
            f'[red, green, blue], but is not ({error})'
        ) from error


def read_mask_classes(
    folder: Path, masks: Sequence[str]
) -> tuple[dict, dict[str, list[int]]]:
    """Read all masks, and decide which classes they have.

    Args:
        folder (Path): The dataset, which may have names of the classes.
        masks (Sequence[str]): The files, at least one.

    Returns:
        tuple[dict, dict[str, list[int]]]: Variables of the recommended
        config: ``classes``, ``palette``, and ``value_map`` or ``color_map``
        if they are needed; and each mask to its classes.

    Raises:
        UsageError: If the masks do not fit the names, or cannot be read.
    """
    names, colors = read_names(folder)
    with Image.open(masks[0]) as image:
        colored = bool(colors) and image.mode.startswith('RGB')
        indexed = image.getpalette() if image.mode == 'P' else None
    with ThreadPoolExecutor(8) as pool:
        read = partial(_values, colored=colored)
        values = dict(zip(masks, pool.map(read, masks), strict=True))
    found = {value: mask for mask, own in values.items() for value in own}
    if colored:
        class_of = {int(PACK @ color): k for k, color in enumerate(colors)}
        settings = dict(color_map=[list(color) for color in colors])
    else:
        value_map = suggest_value_map(found, len(names) or None)
        class_of = value_map or {value: value for value in found}
        settings = dict(value_map=value_map) if value_map else {}
    used = {class_of.get(value) for value in found} - {IGNORED}
    if len(used) < 2 or len(used) > MOST_UNNAMED and not names:
        raise UsageError(
            f'the masks of {folder} have the values '
            f'{first_few(sorted(found))}, which should be two or more '
            'classes; save the number of a class in each pixel, and name the '
            'classes in classes.txt'
        )
    classes = names or [f'class_{k}' for k in range(max(used) + 1)]
    for value, mask in found.items():
        if class_of.get(value) not in (*range(len(classes)), IGNORED):
            rgb = (value >> 16, value >> 8 & 255, value & 255)
            what = f'color {rgb}' if colored else f'value {value}'
            raise UsageError(
                f'{mask} has the {what}, but {folder} names {len(classes)} '
                f'classes, 0 to {len(classes) - 1}; add it'
            )
    if indexed and len(indexed) >= 3 * len(classes) and not colors:
        colors = [indexed[3 * k : 3 * k + 3] for k in range(len(classes))]
    settings['classes'] = classes
    settings['palette'] = [list(c) for c in colors] or palette(len(classes))
    if classes[0].lower() == 'background':
        settings['background_class'] = 0
    for mask, own in values.items():
        values[mask] = sorted({class_of[value] for value in own} - {IGNORED})
    return settings, values


def _values(mask: str, colored: bool) -> list[int]:
    with Image.open(mask) as image:
        return np.unique(read_values(image, mask, colored)).tolist()
