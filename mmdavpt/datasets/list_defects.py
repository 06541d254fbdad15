"""Find the lines of lists that MMPretrain and MMSegmentation misread.

:mod:`.list_files` reads the lists of this package's own datasets.
"""

import os
import os.path as osp
import re
from collections.abc import Iterable, Iterator

#: The mark that some editors write at the start of a file, unseen.
BOM = '\ufeff'

#: The number of a line, the kind of its defect, and what is wrong.
Defect = tuple[int, str, str]

_MARK = (
    'begins with a byte order mark (BOM), which becomes part of the name; '
    'save the file as UTF-8 without BOM'
)


def class_list_defects(lines: Iterable[str]) -> Iterator[Defect]:
    """Yield the lines of a list of classes that are no plain names.

    Args:
        lines (Iterable[str]): One class a line.
    """
    seen: dict[str, int] = {}
    for i, line in enumerate(lines, 1):
        name = line.strip()
        if not name:
            yield i, 'blank_line', 'is blank, but counts as a class; remove it'
            continue
        if name.startswith(BOM):
            yield i, 'byte_order_mark', _MARK
        elif name != line or '\t' in name:
            yield i, 'class_name', f'has spaces or tabs: {line!r}; remove them'
        elif name in seen:
            yield i, 'class_name', f'repeats {name!r} of line {seen[name]}'
        seen.setdefault(name, i)


def sample_list_defects(
    lines: Iterable[str], folder: str, labelled: bool, suffix: str = ''
) -> Iterator[Defect]:
    """Yield the lines of a list of samples that name no sample of their own.

    Args:
        lines (Iterable[str]): One sample a line.
        folder (str): What the dataset puts before each path.
        labelled (bool): Whether a label follows each path.
        suffix (str): What the dataset puts after each path. Defaults to ''.
    """
    seen: dict[str, tuple[int, str]] = {}
    missing = False
    for i, line in enumerate(lines, 1):
        name, label = (line.strip() if labelled or suffix else line), ''
        if not name.strip():
            yield i, 'blank_line', 'is blank; remove it'
            continue
        if labelled:
            if what := _field_defect(name):
                yield i, 'wrong_fields', what
                continue
            name, label = name.rsplit(' ', 1)
        path = osp.join(folder, name + suffix)
        first, other = seen.setdefault(path, (i, label))
        if name.startswith(BOM):
            yield i, 'byte_order_mark', _MARK
        elif not osp.isfile(path):
            what = f'names {path}, which does not exist'
            # Once, since thousands of lines may share one reason.
            hint = '' if missing else _hint(name, folder, suffix)
            missing = True
            yield i, 'missing_file', what + hint
        elif other != label:
            what = f'gives {name!r} the label {label}, line {first} {other}'
            yield i, 'conflicting_labels', f'{what}; remove the wrong one'
        elif first != i:
            yield i, 'repeated_line', f'repeats {name!r} of line {first}'
        elif osp.isabs(name):
            what = f'has the absolute path {name!r}, which other machines lack'
            yield i, 'absolute_path', f'{what}; write a path below data_root'


def _field_defect(text: str) -> str | None:
    """Return why a line is not a path, one space and a class number."""
    form = "; write path, space and class number, such as 'cat/1.jpg 0'"
    name, space, label = text.rpartition(' ')
    if found := re.search(r'(\t|,|;| {2})\s*[-+]?\d+$', text):
        mark = {'\t': 'a tab', '  ': 'two spaces'}.get(found[1], found[1])
        return f'has {mark} between path and label: {text!r}{form}'
    if not space:
        return f'has no label: {text!r}{form}'
    if not re.fullmatch(r'[-+]?\d+', label):
        return f'ends in {label!r}, which is not a class number{form}'
    return None


def _hint(name: str, folder: str, suffix: str) -> str:
    """Return which path a missing one may stand for; '' if none is near."""
    plain = name.strip().replace('\\', '/')
    parts = plain.split('/')
    choices = ['/'.join(parts[k:]) for k in range(len(parts))]
    choices += [osp.splitext(plain)[0], plain.split()[0]]
    for choice in choices:
        path = osp.join(folder, choice + suffix)
        if osp.isfile(path):
            return f'; write {choice!r}, which the dataset reads as {path}'
    place, last = osp.split(osp.join(folder, plain))
    stem = osp.splitext(last)[0].lower()
    for other in os.listdir(place) if osp.isdir(place) else ():
        if osp.splitext(other)[0].lower() == stem:
            return f'; the folder has {other}'
    return ''
