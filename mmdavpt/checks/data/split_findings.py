"""Findings about groups of images, in one dataset and across splits."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmdavpt.engine.class_counts import label_defect

from .dataset_records import DatasetRecords, listed, severity_of
from .finding import Finding


def mixed_channels(data: DatasetRecords) -> Iterator[Finding]:
    """Find gray among color images."""
    known = [record for record in data.images if record.mode]
    gray = [record for record in known if _is_gray(record.mode)]
    if 0 < len(gray) < len(known):
        yield data.finding(
            'mixed_channels',
            'warning',
            f'loading copies the one channel of {listed(gray)} to three, but '
            f'{len(known) - len(gray)} others have colors; check that both '
            'belong to the data',
            gray,
        )


def duplicates(data: DatasetRecords) -> Iterator[Finding]:
    """Find images of the same content."""
    groups = defaultdict(dict)
    for i, record in enumerate(data.images):
        if record.digest:
            groups[record.digest].setdefault(record.path, i)
    copies, torn = [], []
    for group in groups.values():
        same = len(_labels(data, list(group.values()))) < 2
        first, *others = (data.images[i] for i in group.values())
        if same:
            copies += others
        else:
            torn += [first, *others]
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
        parts (Sequence[DatasetRecords]): The datasets of all splits.
    """
    train = [part for part in parts if part.built.split == 'train']
    others = [part for part in parts if part.built.split != 'train']
    return [
        replace(finding, split=f'train and {other.built.split}')
        for other in others
        if train
        for finding in (*leaks(train, other), *different_classes(train, other))
    ]


def leaks(
    train: Sequence[DatasetRecords], other: DatasetRecords
) -> Iterator[Finding]:
    """Find images of the training sets in a dataset of another split.

    Args:
        train (Sequence[DatasetRecords]): The training sets.
        other (DatasetRecords): The other dataset.
    """
    images = [record for part in train for record in part.images]
    digests = {record.digest: record for record in images if record.digest}
    paths = {record.path for record in images}
    same = [record for record in other.images if record.path in paths]
    if same:
        yield other.finding(
            'same_files',
            'warning',
            f'{other.built.path} reads {listed(same)} of the training set, so '
            'its scores say nothing about new images',
            same,
        )
    copies = [
        record
        for record in other.images
        if record.digest in digests and record.path not in paths
    ]
    if copies:
        originals = [digests[record.digest] for record in copies]
        yield other.finding(
            'leak',
            severity_of(len(copies), len(other.images)),
            f'the training set also has {listed(copies)} of '
            f'{other.built.path}, the first as {originals[0].path}, so scores '
            'are too high; remove them from one of the two',
            [r for pair in zip(copies, originals, strict=True) for r in pair],
        )


def different_classes(
    train: Sequence[DatasetRecords], other: DatasetRecords
) -> Iterator[Finding]:
    """Find a dataset that numbers the classes differently.

    Args:
        train (Sequence[DatasetRecords]): The training sets.
        other (DatasetRecords): The other dataset.
    """
    first, found = (p.built.files.dataset.metainfo for p in (train[0], other))
    name = f'{other.built.split} set'
    if defect := label_defect(first, found, other=name):
        yield other.finding('different_classes', 'error', defect)


def _labels(data: DatasetRecords, group: list[int]) -> set:
    """Return the different labels of samples, as far as they were read."""
    if not data.labels:
        return {data.built.files.classes[i] for i in group}
    labels = (data.labels[i].values for i in group)
    return {str(sorted(values.items())) for values in labels if values}


def _is_gray(mode: str) -> bool:
    return mode[:1] in ('1', 'L', 'I', 'F') and mode != 'LAB'
