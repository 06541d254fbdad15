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
    images, others = {}, {}
    for part in parts:
        paths = tuple(record.path for record in part.images)
        if part.split == 'train':
            images |= zip(paths, part.images, strict=True)
        else:
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
    copies = [r for r in other.images if r.path not in images]
    copies = [record for record in copies if record.digest in digests]
    if copies:
        noticeable = len(copies) >= NOTICEABLE * len(other.images)
        severity = 'error' if noticeable else 'warning'
        sources = [digests[record.digest] for record in copies]
        what = (
            f'the training set also has {listed(copies)} of {other.path}, the '
            f'first as {sources[0].path}, so scores are too high; remove '
            'them from one of the two'
        )
        files = [r for pair in zip(copies, sources, strict=True) for r in pair]
        yield other.finding('leak', severity, what, files)
