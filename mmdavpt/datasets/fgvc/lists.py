"""Read the lists of a fine-grained dataset: image paths with class ids."""

import json
import os.path as osp
from collections.abc import Sequence
from typing import Any

from mmdavpt.errors import UsageError

#: Class ids of the lists: numbers, or strings such as NABirds' folders.
ClassId = int | str


def read_list(path: str) -> dict[str, ClassId]:
    """Read one list, ``{"image path": class id}``.

    Args:
        path (str): Path of the JSON file.

    Returns:
        dict[str, int | str]: Class ids by image path, in the file's order.

    Raises:
        UsageError: If the file is missing, is not valid JSON, or holds
            anything else.
    """
    entries = _read_json(path)
    listed = isinstance(entries, dict)
    if not listed or {*map(type, entries.values())} not in ({int}, {str}):
        raise UsageError(
            f'{path} should be {{"image path": class id, ...}} with class ids '
            'that are all integers or all strings, but is not; make it with '
            'tools/dataset_converters/fgvc_splits.py'
        )
    return entries


def read_class_names(data_root: str, class_ids: Sequence[ClassId]) -> list:
    """Return the names of ``classes.json``, in the order of the labels.

    Args:
        data_root (str): Folder of the dataset.
        class_ids (Sequence[int | str]): The ids in the order of the labels,
            which serve as names without such a file.

    Returns:
        list[str]: The names.

    Raises:
        UsageError: If the file does not name the classes.
    """
    path = osp.join(data_root, 'classes.json')
    if not osp.isfile(path):
        return [str(class_id) for class_id in class_ids]
    names = _read_json(path)
    listed = isinstance(names, list)
    if not listed or [*map(type, names)] != [str] * len(class_ids):
        raise UsageError(
            f'{path} should list the names of {len(class_ids)} classes; '
            'correct it, or move it away'
        )
    return names


def _read_json(path: str) -> Any:
    try:
        with open(path, encoding='utf-8-sig') as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise UsageError(
            f'{path} cannot be read as JSON ({error}); make it with '
            'tools/dataset_converters/fgvc_splits.py'
        ) from None
