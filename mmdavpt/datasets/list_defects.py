"""Find the lines of lists that MMPretrain and MMSegmentation misread.

:mod:`.list_files` reads the lists of this package's own datasets.
"""

import os.path as osp
import re
from collections.abc import Iterator
from glob import escape, glob

from .list_files import BOM, read_lines

#: The number of a line, the kind of its defect, and what is wrong.
Defect = tuple[int, str, str]

#: What is wrong with a line that begins with a mark.
MARKED = (
    'begins with a byte order mark (BOM), which becomes part of the name; '
    'save the file as UTF-8 without BOM'
)

#: Patterns of lines that are not a path, one space and a class number.
BAD_FIELDS = (
    (r'.*\t\s*[-+]?\d+$', r'has a tab between path and label'),
    (r'.*([,;])\s*[-+]?\d+$', r'has \1 between path and label'),
    (r'.* {2}[-+]?\d+$', r'has two spaces between path and label'),
    (r'\S*$', r'has no label'),
    (r'.* (?![-+]?\d+$)(\S*)$', r"ends in '\1', which is not a class number"),
)


def class_list_defects(file: str) -> Iterator[Defect]:
    """Yield the lines of a list of classes that are no plain names.

    Args:
        file (str): One class a line.
    """
    for i, line in enumerate(read_lines(file), 1):
        if not line.strip():
            yield i, 'blank_line', 'is blank, but counts as a class; remove it'
        elif line.startswith(BOM):
            yield i, 'byte_order_mark', MARKED


def sample_list_defects(
    file: str, folder: str, labelled: bool, suffix: str = ''
) -> Iterator[Defect]:
    """Yield the lines of a list of samples that name no sample of their own.

    Args:
        file (str): One sample a line.
        folder (str): What the dataset puts before each path.
        labelled (bool): Whether a label follows each path.
        suffix (str): What the dataset puts after each path. Defaults to ''.
    """
    seen: dict[str, tuple[int, str]] = {}
    missing = False
    for i, line in enumerate(read_lines(file), 1):
        line = line.strip() if labelled or suffix else line
        if not line.strip():
            yield i, 'blank_line', 'is blank; remove it'
            continue
        if labelled and (what := _field_defect(line)):
            yield i, 'wrong_fields', what
            continue
        name, label = line.rsplit(' ', 1) if labelled else (line, '')
        path = osp.join(folder, name + suffix)
        first, other = seen.setdefault(path, (i, label))
        if line.startswith(BOM):
            yield i, 'byte_order_mark', MARKED
        elif not osp.isfile(path):
            # Once, since thousands of lines may share one reason.
            near = '' if missing else _find_near(name, folder, suffix)
            missing, what = True, f'names {path}, which does not exist{near}'
            yield i, 'missing_file', what
        elif other != label:
            what = f'gives {name!r} the label {label}, line {first} {other}'
            yield i, 'conflicting_labels', f'{what}; remove the wrong one'
        elif first != i:
            yield i, 'repeated_line', f'repeats {name!r} of line {first}'


def _field_defect(line: str) -> str:
    """Return why a line is not a path, one space and a class number, or ''."""
    for pattern, what in BAD_FIELDS:
        if found := re.match(pattern, line):
            form = "write path, space and class number, such as 'cat/1.jpg 0'"
            return f'{found.expand(what)}: {line!r}; {form}'
    return ''


def _find_near(name: str, folder: str, suffix: str) -> str:
    """Return which path a missing one may stand for; '' if none is near."""
    plain = name.strip().replace('\\', '/')
    parts, stem = plain.split('/'), osp.splitext(plain)[0]
    choices = ['/'.join(parts[k:]) for k in range(len(parts))]
    choices += [stem, plain.split()[0]]
    choices += glob(escape(stem) + '.*', root_dir=folder or None)
    for choice in choices:
        path = osp.join(folder, choice + suffix)
        if osp.isfile(path):
            return f'; write {choice!r}, which the dataset reads as {path}'
    return ''
