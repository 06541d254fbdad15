"""Read the lists of a fine-grained dataset: image paths with class ids."""

import json
import os.path as osp
from collections.abc import Iterable, Sequence

from mmdavpt.errors import UsageError

from ..list_files import read_list as read_lines

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


def label_map(class_ids: Iterable[ClassId]) -> dict[ClassId, int]:
    """Number class ids from 0, in sorted order.

    Args:
        class_ids (Iterable[int | str]): Class ids, in any order and number.

    Returns:
        dict[int | str, int]: Labels by class id.
    """
    return {c: label for label, c in enumerate(sorted(set(class_ids)))}


def read_class_names(
    data_root: str, class_ids: Sequence[ClassId]
) -> list[str]:
    """Return the names of the classes, in the order of their labels.

    ``classes.json`` is a list of names in that order or ``{"id": "name"}``.
    ``classes.txt`` has a name on each line, or an id and a name, as in CUB
    and NABirds. Without such a file the ids serve as names.

    Args:
        data_root (str): Folder of the dataset.
        class_ids (Sequence[int | str]): The ids in the order of the labels.

    Returns:
        list[str]: The names.

    Raises:
        UsageError: If a file does not name the classes.
    """
    own_ids = [str(class_id) for class_id in class_ids]
    path = osp.join(data_root, 'classes.json')
    if osp.isfile(path):
        with open(path, encoding='utf-8-sig') as file:
            try:
                names = json.load(file)
            except ValueError as error:
                raise UsageError(
                    f'{path} is not valid JSON: {error}'
                ) from None
        if isinstance(names, dict) and set(own_ids) <= set(names):
            names = [names[class_id] for class_id in own_ids]
        return _checked_names(path, names, len(own_ids))
    path = osp.join(data_root, 'classes.txt')
    if not osp.isfile(path):
        return own_ids
    lines = [line for _, line in read_lines(path)]
    by_id = dict(line.split(maxsplit=1) for line in lines if ' ' in line)
    if len(by_id) < len(lines) or not all(i.isdecimal() for i in by_id):
        return _checked_names(path, lines, len(own_ids))
    return _names_by_id({int(i): name for i, name in by_id.items()}, own_ids)


def _names_by_id(by_id: dict[int, str], own_ids: list[str]) -> list[str]:
    """Return the names of a file with ids; the ids if they do not match."""
    if not all(i.isdecimal() for i in own_ids):
        return own_ids
    ids = [int(i) for i in own_ids]
    if len(by_id) == len(ids):
        # CUB counts from 1, and a list may count from 0.
        theirs = dict(zip(sorted(ids), sorted(by_id), strict=True))
        return [by_id[theirs[i]] for i in ids]
    # NABirds also names the inner nodes of its hierarchy. Ids without a gap
    # use another numbering than the file, so its names would be wrong.
    has_gaps = max(ids) - min(ids) >= len(ids)
    if has_gaps and set(ids) <= set(by_id):
        return [by_id[i] for i in ids]
    return own_ids


def _checked_names(path: str, names: object, num_classes: int) -> list[str]:
    if (
        not isinstance(names, list)
        or len(names) != num_classes
        or not all(isinstance(name, str) for name in names)
    ):
        raise UsageError(
            f'{path} should list the names of {num_classes} classes; correct '
            'it, or move it away'
        )
    return names
