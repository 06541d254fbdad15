"""Findings about images of the same content, in one split and in several."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmdavpt.engine.class_counts import label_defect

from .dataset_records import DatasetRecords, listed, severity_of
from .finding import Finding


def duplicates(data: DatasetRecords) -> Iterator[Finding]:
    """Find images of the same content."""
    groups = defaultdict(dict)
    for i, record in enumerate(data.images):
        if record.digest:
            groups[record.digest].setdefault(record.path, i)
    copies, torn = [], []
    for group in groups.values():
        images = [data.images[i] for i in group.values()]
        labels = [*filter(None, (data.label_sets[i] for i in group.values()))]
        if any(other != labels[0] for other in labels[1:]):
            torn += images
        else:
            copies += images[1:]
    if torn:
        what = f'the same pixels have different labels in {listed(torn)}; keep'
        severity = severity_of(len(torn), len(data.images))
        kind = 'contradictory_labels'
        yield data.finding(kind, severity, f'{what} one label', torn)
    if copies:
        what = f'other images occur again as {listed(copies)} and count twice'
        what += '; remove the copies'
        yield data.finding('duplicates', 'warning', what, copies)


def find_across(parts: Sequence[DatasetRecords]) -> list[Finding]:
    """Return the findings of training sets against those of other splits.

    Args:
        parts (Sequence[DatasetRecords]): The datasets of all splits. Of val
            and test sets with the same images, the first is compared.
    """
    train = [part for part in parts if part.split == 'train']
    others = {}
    for part in parts:
        if train and part.split != 'train':
            others.setdefault(tuple(part.files.images), part)
    return [
        replace(finding, split=f'train and {other.split}')
        for other in others.values()
        for finding in _compare(train, other)
    ]


def _compare(
    train: Sequence[DatasetRecords], other: DatasetRecords
) -> Iterator[Finding]:
    """Find training images in another dataset, and other class orders."""
    images = {record.path: record for part in train for record in part.images}
    digests = {r.digest: r for r in images.values() if r.digest}
    same = [record for record in other.images if record.path in images]
    if same:
        what = f'{other.path} reads {listed(same)} of the training set, so its'
        what += ' scores say nothing about new images'
        yield other.finding('same_files', 'warning', what, same)
    pairs = [
        (record, digests[record.digest])
        for record in other.images
        if record.digest in digests and record.path not in images
    ]
    if pairs:
        copies = [copy for copy, _ in pairs]
        yield other.finding(
            'leak',
            severity_of(len(pairs), len(other.images)),
            f'the training set also has {listed(copies)} of {other.path}, the '
            f'first as {pairs[0][1].path}, so scores are too high; remove '
            'them from one of the two',
            [record for pair in pairs for record in pair],
        )
    metas = [part.files.dataset.metainfo for part in (train[0], other)]
    if defect := label_defect(*metas, other=f'{other.split} set'):
        yield other.finding('different_classes', 'error', defect)
