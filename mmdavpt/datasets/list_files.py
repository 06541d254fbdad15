"""Read text files that list images or classes, one a line."""

import os.path as osp
from collections.abc import Sequence

from mmdavpt.errors import UsageError


def read_list(path: str) -> list[tuple[str, str]]:
    """Read the lines of a list; blank ones, BOM and CRLF are dropped.

    Args:
        path (str): The file.

    Returns:
        list[tuple[str, str]]: Place, such as 'train.txt, line 3', and line.

    Raises:
        UsageError: If the file is missing, empty or not text in UTF-8, or a
            line is repeated.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise UsageError(
            f'the list {path} cannot be read ({error.strerror})'
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f'the list {path} should be UTF-8 text') from error
    places = {}
    for number, line in enumerate(lines, 1):
        place = f'{path}, line {number}'
        if line and places.setdefault(line, place) != place:
            raise UsageError(
                f'{place}: {line!r} is a repetition of line '
                f'{lines.index(line) + 1}; remove one of them'
            )
    if not places:
        raise UsageError(f'the list {path} is empty')
    return [(place, line) for line, place in places.items()]


def class_names(classes: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes, given as names or as the path of a list.

    Args:
        classes (str | Sequence[str]): The names, or a file with one a line.

    Raises:
        UsageError: If a text is no file, so its letters would be classes, or
            a name is repeated or no text.
    """
    if isinstance(classes, str):
        if not osp.isfile(classes):
            raise UsageError(
                f'classes is the text {classes!r}, and no file has this '
                f'name; list the names, as in classes=[{classes!r}]'
            )
        return tuple(line for _, line in read_list(classes))
    for name in classes:
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f'classes should be names, but has {name!r}')
    if len(set(classes)) < len(classes):
        twice = next(n for n in classes if list(classes).count(n) > 1)
        raise UsageError(f'classes should differ, but has {twice!r} twice')
    return tuple(classes)
