"""Read the lists of a fine-grained data set: image paths with class ids."""

import json
import os.path as osp
from collections.abc import Sequence

from mmdavpt.errors import UsageError

#: A class id as the lists have it: numbers, or names such as NABirds' folders.
ClassId = int | str


def read_list(path: str) -> dict[str, ClassId]:
    """Read one list, ``{"image path": class id}``.

    Args:
        path (str): Path of the JSON file.

    Returns:
        dict[str, int | str]: Class ids by image path, in the file's order.

    Raises:
        UsageError: If the file is missing, is no JSON, or holds anything
            else.
    """
    form = 'a list is {"image path": class id, ...}'
    try:
        with open(path, encoding='utf-8') as file:
            entries = json.load(file, object_pairs_hook=_pairs_once)
    except FileNotFoundError:
        raise UsageError(
            f'{path} does not exist; tools/dataset_converters/fgvc_splits.py '
            'makes the lists of an original download'
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f'{path} cannot be read ({error}); {form}') from None
    if not isinstance(entries, dict) or not entries:
        raise UsageError(
            f'{path} should hold at least one image, but is '
            f'{"empty" if entries in ({}, []) else "of another form"}; {form}'
        )
    kind = type(next(iter(entries.values())))
    for image, class_id in entries.items():
        if kind not in (int, str) or type(class_id) is not kind:
            raise UsageError(
                f'{path} gives {image!r} the class {class_id!r}, where it '
                'should be a whole number, or a string for all images; '
                f'{form}'
            )
    return entries


def _pairs_once(pairs: Sequence[tuple]) -> dict:
    """Make a dict of what JSON gives in pairs; refuse a key that returns."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(k for i, k in enumerate(keys) if k in keys[:i])
        raise ValueError(f'it names {twice!r} twice')
    return entries


def label_map(class_ids: Sequence[ClassId]) -> dict[ClassId, int]:
    """Number class ids from 0, in sorted order.

    Args:
        class_ids (Sequence[int | str]): Class ids, in any order and number.

    Returns:
        dict[int | str, int]: Labels by class id.
    """
    return {c: label for label, c in enumerate(sorted(set(class_ids)))}


def find_image_dir(
    data_root: str, image: str, candidates: Sequence[str]
) -> str | None:
    """Return the folder that the image paths of a list are relative to.

    Args:
        data_root (str): The folder of the data set.
        image (str): An image path of the list.
        candidates (Sequence[str]): Folders to try, relative to the root.

    Returns:
        str, optional: The first folder, joined to the root, that holds the
        image; None if there is none.
    """
    for candidate in candidates:
        folder = osp.join(data_root, candidate) if candidate else data_root
        if osp.isfile(osp.join(folder, image)):
            return folder
    return None


def read_class_names(
    data_root: str, class_ids: Sequence[ClassId]
) -> list[str]:
    """Return the names of the classes, in the order of their labels.

    ``classes.json`` is a list of names in that order or ``{"id": "name"}``.
    ``classes.txt`` has a name on each line, or an id and a name, as CUB and
    NABirds have it. Without such a file the ids serve as names.

    Args:
        data_root (str): The folder of the data set.
        class_ids (Sequence[int | str]): The ids in the order of the labels.

    Returns:
        list[str]: The names.

    Raises:
        UsageError: If a file does not name the classes.
    """
    own_ids = [str(class_id) for class_id in class_ids]
    path = osp.join(data_root, 'classes.json')
    if osp.isfile(path):
        with open(path, encoding='utf-8') as file:
            try:
                names = json.load(file)
            except ValueError as error:
                raise UsageError(f'{path} is no JSON: {error}') from None
        if isinstance(names, dict) and set(own_ids) <= set(names):
            names = [names[class_id] for class_id in own_ids]
        return _checked_names(path, names, len(own_ids))
    path = osp.join(data_root, 'classes.txt')
    if not osp.isfile(path):
        return own_ids
    with open(path, encoding='utf-8') as file:
        lines = [line.strip() for line in file if line.strip()]
    by_id = dict(line.split(maxsplit=1) for line in lines if ' ' in line)
    if len(by_id) < len(lines) or not all(i.isdecimal() for i in by_id):
        return _checked_names(path, lines, len(own_ids))
    return _names_by_id({int(i): name for i, name in by_id.items()}, own_ids)


def _names_by_id(by_id: dict[int, str], own_ids: list[str]) -> list[str]:
    """Return the names of a file with ids, or the ids where it is unclear."""
    if not all(i.isdecimal() for i in own_ids):
        return own_ids
    ids = [int(i) for i in own_ids]
    if len(by_id) == len(ids):
        # CUB counts from 1, and a list may count from 0.
        theirs = dict(zip(sorted(ids), sorted(by_id), strict=True))
        return [by_id[theirs[i]] for i in ids]
    # NABirds names the inner nodes of its hierarchy too. Ids without a gap
    # are another numbering than the file's, so its names would be wrong.
    has_gaps = max(ids) - min(ids) >= len(ids)
    if has_gaps and set(ids) <= set(by_id):
        return [by_id[i] for i in ids]
    return own_ids


def _checked_names(path: str, names: list, num_classes: int) -> list[str]:
    if (
        not isinstance(names, list)
        or len(names) != num_classes
        or not all(isinstance(name, str) for name in names)
    ):
        raise UsageError(
            f'{path} should name {num_classes} classes, but has '
            f'{len(names)} entries; correct it, or move it away'
        )
    return names
