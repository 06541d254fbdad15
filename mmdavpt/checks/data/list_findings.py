"""Findings about the lines of list files, with line numbers."""

import os.path as osp
from collections import defaultdict
from collections.abc import Iterable

from mmpretrain.datasets import CustomDataset
from mmseg.datasets import BaseSegDataset

from mmdavpt.checks.introspection import find_types, walk
from mmdavpt.datasets import list_defects
from mmdavpt.errors import UsageError, first_few

from .checked_dataset import Finding


def list_findings(dataset: object, split: str) -> list[Finding]:
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
    known = CustomDataset.load_data_list, BaseSegDataset.load_data_list
    if reader not in known or not osp.isfile(dataset.ann_file):
        return []
    defects = list_defects.sample_list_defects(
        dataset.ann_file,
        folder=dataset.data_prefix.get('img_path') or '',
        labelled=getattr(dataset, 'with_label', False),
        suffix=getattr(dataset, 'img_suffix', ''),
    )
    return _group(dataset.ann_file, defects, split)


def class_list_findings(node: object, split: str) -> list[Finding]:
    """Find the lines of ``classes`` files that name no class.

    Args:
        node (dict): The config of a dataset, or of a wrapper of datasets.
        split (str): 'train', 'val' or 'test'.

    Returns:
        list[Finding]: One for each kind of defect.
    """
    files = {}
    for _, part in walk(node):
        names = (part.get('metainfo') or {}).get('classes')
        names = part.get('classes') or names
        kinds = find_types(part.get('type', dict))
        # Datasets of this package skip blank lines and marks.
        own = any(kind.__module__.startswith('mmdavpt') for kind in kinds)
        if 'type' in part and isinstance(names, str) and not own:
            file = osp.expanduser(names)
            if osp.isfile(file):
                files[file] = list_defects.class_list_defects(file)
    found = [_group(*item, split) for item in files.items()]
    return sum(found, [])


def _group(file: str, defects: Iterable[tuple], split: str) -> list[Finding]:
    """Return a finding for each kind of defect in a list file."""
    kinds = defaultdict(dict)
    try:
        for number, kind, what in defects:
            kinds[f'list_{kind}'][number] = what
    except UsageError as error:
        return [Finding('error', 'list_encoding', split, str(error))]
    found = []
    for kind, lines in kinds.items():
        (first, what), *others = lines.items()
        more = f' (also line {first_few([n for n, _ in others], 5)})'
        sentence = f'{file}, line {first} {what}{more * bool(others)}'
        # In a test, a repeated image counts twice.
        harmless = kind == 'list_repeated_line' and split == 'train'
        severity = 'warning' if harmless else 'error'
        files = tuple(f'{file}:{number}' for number in lines)
        found.append(Finding(severity, kind, split, sentence, files))
    return found
