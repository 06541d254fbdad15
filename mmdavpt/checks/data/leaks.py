"""Find training images in the datasets of other splits."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .checked_dataset import CheckedDataset, listed
from .finding import Finding

#: Share of a dataset from which copies are an error: a smaller one hardly
#: changes a score, and public benchmarks have some.
NOTICEABLE = 0.01


def find_leaks(parts: Sequence[CheckedDataset]) -> list[Finding]:
    """Compare the images of training sets with those of other splits.

    Args:
        parts (Sequence[CheckedDataset]): The datasets of all splits. Of val
            and test sets with the same images, the first is compared.
    """
    images = {
        record.path: record
        for part in parts
        if part.split == 'train'
        for record in part.images
    }
    others = {}
    for part in parts:
        if part.split != 'train':
            paths = tuple(record.path for record in part.images)
            others.setdefault(paths, part)
    return [
        replace(finding, split=f'train and {other.split}')
        for other in others.values()
        for finding in _compare(images, other)
    ]


def _compare(images: dict, other: CheckedDataset) -> Iterator[Finding]:
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
        noticeable = len(pairs) >= NOTICEABLE * len(other.images)
        yield other.finding(
            'leak',
            'error' if noticeable else 'warning',
            f'the training set also has {listed(copies)} of {other.path}, the '
            f'first as {pairs[0][1].path}, so scores are too high; remove '
            'them from one of the two',
            [record for pair in pairs for record in pair],
        )
