"""Read the lists of a task of VTAB-1k: image paths with labels."""

import os.path as osp

from mmdavpt.errors import UsageError

#: The file of class names in the folder of a task; it may be missing.
CLASSES_FILE = 'classes.txt'


def read_split(path: str, num_classes: int) -> list[tuple[str, int]]:
    """Read the list of a split, whose lines are ``image path label``.

    Args:
        path (str): Path of the list.
        num_classes (int): The number of classes; labels lie below it.

    Returns:
        list[tuple[str, int]]: Paths and labels, in the file's order.

    Raises:
        UsageError: If the list is missing or empty, a line is of another
            form, a label is out of range, or an image is listed twice.
    """
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise UsageError(
            f'{path} does not exist; copy the folder again, or write it with '
            'tools/dataset_converters/vtab1k.py'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f'{path} cannot be read ({error}); copy it again'
        ) from error
    entries: list[tuple[str, int]] = []
    seen = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        image, label = _entry(line, f'{path}, line {number}', num_classes)
        if image in seen:
            raise UsageError(
                f'{path}, line {number}: {image} is listed a second time; '
                'copy the list again'
            )
        seen.add(image)
        entries.append((image, label))
    if not entries:
        raise UsageError(
            f'{path} should list images, but it is empty; copy it again'
        )
    return entries


def _entry(line: str, place: str, num_classes: int) -> tuple[str, int]:
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
            f'is {label}; copy the list again, or ask for the right task'
        )
    return image.rstrip(), int(label)


def read_class_names(folder: str, num_classes: int) -> list[str] | None:
    """Read the names of the classes, one a line, in the order of the labels.

    Args:
        folder (str): The folder of the task.
        num_classes (int): The number of classes.

    Returns:
        list[str], optional: The names; None without the file.

    Raises:
        UsageError: If it names another number of classes.
    """
    path = osp.join(folder, CLASSES_FILE)
    if not osp.isfile(path):
        return None
    with open(path, encoding='utf-8') as file:
        names = [line.strip() for line in file if line.strip()]
    if len(names) != num_classes:
        raise UsageError(
            f'{path} should name {num_classes} classes, one a line, but '
            f'names {len(names)}; correct it, or move it away'
        )
    return names
