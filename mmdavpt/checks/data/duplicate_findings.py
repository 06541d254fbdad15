"""Findings about images that occur more than once, by their content."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from .dataset_records import DatasetRecords, listed, severity
from .finding import Finding


def duplicates(data: DatasetRecords) -> Iterator[Finding]:
    """Find images of the same content in one dataset."""
    groups = defaultdict(dict)
    for i, record in enumerate(data.images):
        if record.digest:
            groups[record.digest].setdefault(record.path, i)
    groups = [list(g.values()) for g in groups.values() if len(g) > 1]
    torn = [g for g in groups if len(_labels_of(data, g)) > 1]
    if torn:
        found = [data.images[i] for group in torn for i in group]
        yield data.finding(
            severity(len(found), len(data.images)),
            'contradictory_labels',
            f'{listed(found)} show the same pixels with different labels; '
            'keep one label for each',
            found,
        )
    copies = [data.images[i] for g in groups if g not in torn for i in g[1:]]
    if copies:
        yield data.finding(
            'warning',
            'duplicates',
            f'{listed(copies)} repeat other images; remove them, since they '
            'count twice',
            copies,
        )


def leaks(parts: Sequence[DatasetRecords]) -> Iterator[Finding]:
    """Find training images that also validate or test.

    Args:
        parts (Sequence[DatasetRecords]): The datasets of all splits.
    """
    trained = [r for part in parts if part.split == 'train' for r in part.images]
    by_digest = {r.digest: r for r in trained if r.digest}
    paths = {r.path for r in trained}
    for other in parts:
        if other.split == 'train':
            continue
        both = f'train and {other.split}'
        same = [r for r in other.images if r.path in paths]
        if same:
            yield Finding(
                'warning',
                'same_files',
                both,
                f'{other.path} reads {listed(same)} of the training set, so '
                'its scores do not measure new images; choose other files',
                tuple(dict.fromkeys(r.path for r in same)),
            )
        copies = [
            r
            for r in other.images
            if r.digest in by_digest and r.path not in paths
        ]
        if copies:
            first = by_digest[copies[0].digest].path
            yield Finding(
                severity(len(copies), len(other.images)),
                'leak',
                both,
                f'{listed(copies)} of {other.path} are also in the training '
                f'set (as {first}), so scores are too high; remove them from '
                'one of the two',
                tuple(
                    path
                    for r in copies
                    for path in (r.path, by_digest[r.digest].path)
                ),
            )


def _labels_of(data: DatasetRecords, group: list[int]) -> set:
    """Return the different labels of samples, as far as they were read."""
    if not data.labels:
        return {data.class_labels[i] for i in group}
    labels = [data.labels[i] for i in group]
    return {str(sorted(r.values.items())) for r in labels if r.values}
