"""Find the lines of list files that a dataset misreads, with line numbers."""

import os.path as osp
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from mmengine.fileio import list_from_file
from mmpretrain.datasets import CustomDataset
from mmseg.datasets import BaseSegDataset

from mmdavpt.checks.introspection import find_types, walk
from mmdavpt.datasets.list_defects import (
    Defect,
    class_list_defects,
    sample_list_defects,
)

from .finding import Finding

#: Kinds that change no number of a training.
HARMLESS = ('list_absolute_path', 'list_class_name', 'list_repeated_line')


def list_findings(dataset: Any, split: str) -> list[Finding]:
    """Find the lines of a dataset's ``ann_file`` that name no sample.

    Lists that MMPretrain's ``CustomDataset`` (path and label) or
    MMSegmentation's ``BaseSegDataset`` (path without suffix) reads are
    checked; a dataset that reads another format is skipped.

    Args:
        dataset (BaseDataset): The dataset. ``lazy_init=True`` is enough, so
            that a list that breaks it can be checked.
        split (str): 'train', 'val' or 'test'.

    Returns:
        list[Finding]: One for each kind of defect.
    """
    reader = type(dataset).load_data_list
    if reader is CustomDataset.load_data_list:
        labelled, suffix = dataset.with_label, ''
    elif reader is BaseSegDataset.load_data_list:
        labelled, suffix = False, dataset.img_suffix
    else:
        return []
    folder = dataset.data_prefix.get('img_path') or ''
    find = partial(
        sample_list_defects, folder=folder, labelled=labelled, suffix=suffix
    )
    return _findings(dataset.ann_file, find, split)


def class_list_findings(node: Any, split: str) -> list[Finding]:
    """Find the lines of ``classes`` files that name no class.

    Args:
        node (dict): The config of a dataset, or of a wrapper of datasets.
        split (str): 'train', 'val' or 'test'.

    Returns:
        list[Finding]: One for each kind of defect.
    """
    files = set()
    for _, part in walk(node):
        names = part.get('classes')
        names = names or (part.get('metainfo') or {}).get('classes')
        kinds = find_types(part.get('type', dict))
        # Datasets of this package skip blank lines and marks.
        own = any(kind.__module__.startswith('mmdavpt') for kind in kinds)
        if 'type' in part and isinstance(names, str) and not own:
            files.add(osp.expanduser(names))
    found = [_findings(f, class_list_defects, split) for f in sorted(files)]
    return sum(found, [])


def _findings(
    file: str, find: Callable[[list[str]], Iterable[Defect]], split: str
) -> list[Finding]:
    """Return a finding for each kind of defect in a list file."""
    if not osp.isfile(file):
        return []
    try:
        defects = list(find(list_from_file(file)))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b'\n') + 1
        defects = [(line, 'encoding', 'is not UTF-8; save the file as UTF-8')]
    kinds: dict[str, list[Defect]] = defaultdict(list)
    for defect in defects:
        kinds[f'list_{defect[1]}'].append(defect)
    found = []
    for kind, group in kinds.items():
        (first, _, what), *others = group
        also = ', '.join(str(line) for line, *_ in others[:5])
        more = f' and {len(others) - 5} more' if others[5:] else ''
        sentence = f'{file}, line {first} {what}'
        if others:
            sentence += f' (also line{"s" * (len(others) > 1)} {also}{more})'
        scored_twice = kind == 'list_repeated_line' and split != 'train'
        harmless = kind in HARMLESS and not scored_twice
        severity = 'warning' if harmless else 'error'
        files = tuple(f'{file}:{line}' for line, *_ in group)
        found.append(Finding(severity, kind, split, sentence, files))
    return found
