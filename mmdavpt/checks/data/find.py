"""All findings of one dataset, and the training images in other datasets."""

import os.path as osp
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mmdavpt.datasets.file_checks import FILE_CHECKS

from . import label_findings as labels
from .checked_dataset import CheckedDataset, Finding, and_more, listed
from .folder_findings import folder_findings
from .list_findings import list_findings

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


#: Kinds of findings that say why files are missing.
MISSING = {'list_missing_file', 'images_without_labels'}


def file_findings(data: CheckedDataset) -> Iterator[Finding]:
    """Find defects of single files, grouped by kind.

    Args:
        data (CheckedDataset): A dataset.
    """
    both = [*data.images, *data.labels]
    files = {'image': data.images, 'label file': data.labels, 'file': both}
    for severity, noun, kind, concerns, sentence in FILE_CHECKS:
        found = {r.path: r for r in files[noun] if concerns(r, data)}
        if found:
            first, *_ = records = [*found.values()]
            names, more = listed(records, noun), and_more(records)
            what = sentence.format(files=names, first=first, more=more)
            yield data.finding(kind, severity, what, records)


def find_in(
    data: CheckedDataset, parts: Iterable[CheckedDataset]
) -> list[Finding]:
    """Return the findings of one dataset, errors first.

    Args:
        data (CheckedDataset): The dataset, whose files were read.
        parts (Iterable[CheckedDataset]): The datasets of all splits.
    """
    used = [r.path for part in parts for r in (*part.images, *part.labels)]
    found = [
        *list_findings(data.dataset, data.split),
        *folder_findings(data, used),
        *file_findings(data),
        *labels.label_sizes(data),
        *labels.labels_out_of_range(data),
        *labels.missing_classes(data),
    ]
    broken = [f for f in found if f.kind == 'broken_files']
    if MISSING & {finding.kind for finding in found}:
        # Say only once that files do not exist.
        lost = [f for f in broken if not any(map(osp.exists, f.files))]
        found = [finding for finding in found if finding not in lost]
    return sorted(found, key=lambda finding: finding.severity != 'error')
