"""Read text files that list images or classes, one a line."""

import os.path as osp
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from mmengine.fileio import list_from_file

from mmdavpt.errors import UsageError, did_you_mean

from .image_files import normalize_name

#: The mark that some editors write at the start of a file, unseen.
BOM = '\ufeff'


def read_lines(path: str) -> list[str]:
    """Read all lines as MMEngine does: with spaces, and with a BOM.

    Args:
        path (str): The file.

    Raises:
        UsageError: If the file is missing, or not text in UTF-8.
    """
    try:
        return list_from_file(path)
    except OSError as error:
        why = error.strerror
        raise UsageError(f'the list {path} cannot be read ({why})') from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b'\n') + 1
        raise UsageError(
            f'{path}, line {line} is not UTF-8; save the file as UTF-8'
        ) from error


def read_list(path: str) -> list[tuple[str, str]]:
    """Read the lines of a list without blank ones.

    Args:
        path (str): The file, UTF-8 with or without BOM.

    Returns:
        list[tuple[str, str]]: Place, such as 'train.txt, line 3', and line.

    Raises:
        UsageError: If the file is missing, empty or not text in UTF-8.
    """
    lines = enumerate(read_lines(path), 1)
    plain = [(number, line.lstrip(BOM).strip()) for number, line in lines]
    found = [(f'{path}, line {n}', line) for n, line in plain if line]
    if not found:
        raise UsageError(f'the list {path} is empty')
    return found


def class_names(classes: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes, given as names or as the path of a list.

    Args:
        classes (str | Sequence[str]): The names, or a file with one a line.

    Raises:
        UsageError: If a string names no file (its letters would be classes),
            or a name is repeated or not a string.
    """
    if isinstance(classes, str):
        if not osp.isfile(classes):
            raise UsageError(
                f'classes is the text {classes!r}, and no file has this '
                f'name; list the names, as in classes=[{classes!r}]'
            )
        classes = [line for _, line in read_list(classes)]
    names = []
    for name in classes:
        if not isinstance(name, str) or not name.strip() or name in names:
            what = f'has {name!r} {"twice" if name in names else "as one"}'
            raise UsageError(f'classes should be different names, but {what}')
        names.append(normalize_name(name))
    return tuple(names)


def to_samples(folder: str, labels: Iterable[tuple[str, int]]) -> list[dict]:
    """Return the samples of images in a folder.

    Args:
        folder (str): The folder.
        labels (Iterable[tuple[str, int]]): Paths below it, and labels.
    """
    pairs = [(osp.join(folder, path), label) for path, label in labels]
    return [dict(img_path=path, gt_label=label) for path, label in pairs]


def split_label(line: str, names: Collection[str]) -> tuple[str, str | None]:
    """Split a line into path and label, at a tab or a space.

    Args:
        line (str): Such as 'my photos/a.jpg traffic light'.
        names (Collection[str]): Names of classes, which may have spaces.

    Returns:
        tuple[str, str | None]: The path, and the number or name of the class;
        None if the line does not end in one.
    """
    path, tab, label = line.partition('\t')
    if tab:
        return path.rstrip(), normalize_name(label.strip())
    for space in re.finditer(' +', line):
        label = normalize_name(line[space.end() :])
        if label in names or re.fullmatch(r'-?[0-9]+', label):
            return line[: space.start()], label
    return line, None


def read_labels(path: str, numbers: Mapping[str, int]) -> dict[str, int]:
    """Read a list with lines such as PATH or PATH LABEL.

    Args:
        path (str): The list.
        numbers (Mapping[str, int]): Name to number of each class; empty if
            the classes are unknown.

    Returns:
        dict[str, int]: Each path to the number of its class, in the order of
        the list.

    Raises:
        UsageError: If the list cannot be read, a path is repeated, there is
            no such class, or one is meant by number and another one by name.
    """
    labels, places = {}, {}
    for place, line in read_list(path):
        image, label = split_label(line, numbers)
        if (first := places.setdefault(image, place)) != place:
            raise UsageError(f'{place}: {image} is listed before, in {first}')
        folder = osp.dirname(osp.normpath(image)).partition('/')[0]
        name = normalize_name(folder) if label is None else label
        number = numbers.get(name)
        if label is not None and label.isdecimal():
            if number not in (None, int(label)):
                raise UsageError(
                    f'{place}: {label} is the name of class {number}, and may '
                    'be the number of another one; list only paths, or rename '
                    'the classes'
                )
            number = int(label)
        if number is None or numbers and number >= len(numbers):
            given = f'{image!r}' + f' with {label!r}' * (label is not None)
            raise UsageError(
                f'{place} should be a path that begins with the folder of a '
                'class, or a path, a space or tab, and the name or number '
                f'(from 0) of one of the {len(numbers)} classes, but is '
                f'{given}{did_you_mean(name, numbers)}'
            )
        labels[image] = number
    return labels
