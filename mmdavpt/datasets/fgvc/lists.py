"""Read the lists of a fine-grained dataset: image paths with class ids."""

import json
import os.path as osp
from collections.abc import Sequence

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
    form = 'a list is {"image path": class id, ...}'
    try:
        with open(path, encoding='utf-8-sig') as file:
            entries = json.load(file, object_pairs_hook=_unique_keys)
    except FileNotFoundError:
        raise UsageError(
            f'{path} does not exist; make the lists from the original '
            'download with tools/dataset_converters/fgvc_splits.py'
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f'{path} cannot be read ({error}); {form}') from None
    if not isinstance(entries, dict) or not entries:
        found = 'empty' if entries in ({}, []) else 'of another form'
        raise UsageError(f'{path} is {found}; {form}')
    kind = type(next(iter(entries.values())))
    for image, class_id in entries.items():
        if kind not in (int, str) or type(class_id) is not kind:
            raise UsageError(
                f'{path} gives {image!r} the class {class_id!r}, but all '
                f'class ids should be integers, or all strings; {form}'
            )
    return entries


def _unique_keys(pairs: Sequence[tuple]) -> dict:
    """Make a dict of JSON's pairs; raise if a key occurs twice."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(k for i, k in enumerate(keys) if k in keys[:i])
        raise ValueError(f'it has the key {twice!r} twice')
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
    try:
        with open(path, encoding='utf-8-sig') as file:
            names = json.load(file)
    except ValueError as error:
        raise UsageError(f'{path} is not valid JSON: {error}') from None
    valid = isinstance(names, list) and len(names) == len(class_ids)
    if not valid or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f'{path} should list the names of {len(class_ids)} classes; '
            'correct it, or move it away'
        )
    return names
