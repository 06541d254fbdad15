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
        if len({*filter(None, map(data.label_of, group.values()))}) > 1:
            torn += images
        else:
            copies += images[1:]
    if torn:
        yield data.finding(
            'contradictory_labels',
            severity_of(len(torn), len(data.images)),
            f'the same pixels have different labels in {listed(torn)}; keep '
            'one label',
            torn,
        )
    if copies:
        yield data.finding(
            'duplicates',
            'warning',
            f'other images occur again as {listed(copies)} and count twice; '
            'remove the copies',
            copies,
        )


def find_across(parts: Sequence[DatasetRecords]) -> list[Finding]:
    """Return the findings of training sets against those of other splits.

    Args:
        parts (Sequence[DatasetRecords]): The datasets of all splits. Of val
            and test sets with the same images, the first is compared.
    """
    train = [part for part in parts if part.built.split == 'train']
    others = {}
    for part in parts:
        if train and part.built.split != 'train':
            others.setdefault(tuple(part.built.files.images), part)
    return [
        replace(finding, split=f'train and {other.built.split}')
        for other in others.values()
        for finding in _compare(train, other)
    ]


def _compare(
    train: Sequence[DatasetRecords], other: DatasetRecords
) -> Iterator[Finding]:
    """Find training images in another dataset, and other class orders."""
    images = {record.path: record for part in train for record in part.images}
    digests = {r.digest: r for r in images.values() if r.digest}
    if same := [record for record in other.images if record.path in images]:
        yield other.finding(
            'same_files',
            'warning',
            f'{other.built.path} reads {listed(same)} of the training set, so '
            'its scores say nothing about new images',
            same,
        )
    new = [record for record in other.images if record.path not in images]
    if copies := [record for record in new if record.digest in digests]:
        originals = [digests[record.digest] for record in copies]
        yield other.finding(
            'leak',
            severity_of(len(copies), len(other.images)),
            f'the training set also has {listed(copies)} of '
            f'{other.built.path}, the first as {originals[0].path}, so scores '
            'are too high; remove them from one of the two',
            [r for pair in zip(copies, originals, strict=True) for r in pair],
        )
    first, found = (p.built.files.dataset.metainfo for p in (train[0], other))
    name = f'{other.built.split} set'
    if defect := label_defect(first, found, other=name):
        yield other.finding('different_classes', 'error', defect)
