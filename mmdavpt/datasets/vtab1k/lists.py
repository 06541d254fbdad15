"""Read the lists of a VTAB-1k task: image paths with labels."""

import os.path as osp

from mmdavpt.errors import UsageError

from ..list_files import read_list

#: The optional file of class names in the folder of a task.
CLASSES_FILE = 'classes.txt'


def read_split(path: str, num_classes: int) -> list[tuple[str, int]]:
    """Read the list of a split, with lines ``image path label``.

    Args:
        path (str): Path of the list.
        num_classes (int): Number of classes; labels are below it.

    Returns:
        list[tuple[str, int]]: Paths and labels, in the file's order.

    Raises:
        UsageError: If the list is missing or empty, a line has another form,
            a label is out of range, or an image is listed twice.
    """
    if not osp.isfile(path):
        raise UsageError(
            f'{path} does not exist; copy the folder again, or write it with '
            'tools/dataset_converters/vtab1k.py'
        )
    entries: dict[str, int] = {}
    for place, line in read_list(path):
        image, label = _parse(line, place, num_classes)
        if image in entries:
            raise UsageError(
                f'{place}: {image} is listed a second time; copy the list '
                'again'
            )
        entries[image] = label
    return list(entries.items())


def _parse(line: str, place: str, num_classes: int) -> tuple[str, int]:
    """Parse a line such as 'images/test/000000.jpg 3'."""
    image, _, label = line.strip().rpartition(' ')
    if not image or not (label.isascii() and label.isdecimal()):
        raise UsageError(
            f'{place} should be an image path, a space and a label, but is '
            f'{line!r}; copy the list again'
        )
    if int(label) >= num_classes:
        raise UsageError(
            f'{place}: the label should be from 0 to {num_classes - 1}, but '
            f'is {label}; copy the list again, or choose the right task'
        )
    return image.rstrip(), int(label)


def read_class_names(folder: str, num_classes: int) -> list[str] | None:
    """Read the names of the classes, one a line, in the order of the labels.

    Args:
        folder (str): Folder of the task.
        num_classes (int): Number of classes.

    Returns:
        list[str] | None: The names; None if the file does not exist.

    Raises:
        UsageError: If it has another number of names.
    """
    path = osp.join(folder, CLASSES_FILE)
    if not osp.isfile(path):
        return None
    names = [line for _, line in read_list(path)]
    if len(names) != num_classes:
        raise UsageError(
            f'{path} should name {num_classes} classes, one a line, but '
            f'names {len(names)}; correct it, or move it away'
        )
    return names
