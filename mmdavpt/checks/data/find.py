"""All findings of one dataset, and the training images in other datasets."""

import os.path as osp
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mmdavpt.datasets.file_record import FileRecord
from mmdavpt.datasets.load_masks import LoadMasks

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


#: An image whose brightest value is lower is nearly black.
DARK = 32


def _loses_range(record: FileRecord) -> bool:
    """Return whether loading clips more than 8 bits, or makes them black."""
    wide = record.bits > 8 and record.shape
    return bool(wide and (record.clipped or record.high < DARK))


#: Checks of files: severity, which files ('file' are all), kind, whether a
#: file has the defect (from its record and its :class:`.CheckedDataset`), and
#: the sentence, with ``{files}`` for the list of files, ``{first}`` for the
#: first record and ``{more}``, as ' (2 more)'.
FILE_CHECKS = (
    (
        *('error', 'file', 'broken_files', lambda r, _: r.defect),
        '{first.path} {first.defect}{more}; copy broken files again, or leave '
        'them out',
    ),
    (
        *('error', 'label file', 'rejected_labels', lambda r, _: r.rejected),
        '{first.rejected}{more}',
    ),
    (
        *('error', 'label file', 'color_labels'),
        lambda r, _: len(r.shape) > 2,
        '{files} should have one number per pixel, the class, but are loaded '
        'with the shape {first.shape}; use mmdavpt.LoadMasks, with color_map '
        'if the colors are the classes',
    ),
    (
        *('error', 'label file', 'wide_labels'),
        lambda r, data: (
            len(r.shape) == 2
            and r.stored_high > 255
            and not isinstance(data.load_labels, LoadMasks)
        ),
        'loading cuts the labels of {files} to 8 bits, but the first has the '
        'value {first.stored_high:g}; map them with value_map of '
        'mmdavpt.LoadMasks',
    ),
    (
        *('error', 'label file', 'lossy_labels'),
        lambda r, _: r.format in ('JPEG', 'MPO'),
        'JPEG changes the labels of {files} at borders; save the originals '
        'as PNG',
    ),
    (
        *('error', 'image', 'lost_range', lambda r, _: _loses_range(r)),
        'loading {files} destroys them: values of {first.bits} bits up to '
        '{first.stored_high:g} become {first.high:g} or less; scale them to '
        '8 bits',
    ),
    (
        *('warning', 'image', 'orientation'),
        # Another turn changes the size, so a wrong label does not fit.
        lambda r, data: (
            data.labels
            and r.orientation > 1
            and (r.orientation < 5 or len({*r.stored_size}) == 1)
        ),
        'loading turns {files} by their orientation tag; check that their '
        'labels fit the turned images',
    ),
)


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


FINDERS = (
    *(file_findings, labels.label_sizes, labels.labels_out_of_range),
    labels.missing_classes,
)


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
        *(finding for finder in FINDERS for finding in finder(data)),
    ]
    broken = [f for f in found if f.kind == 'broken_files']
    if MISSING & {finding.kind for finding in found}:
        # Say only once that files do not exist.
        lost = [f for f in broken if not any(map(osp.exists, f.files))]
        found = [finding for finding in found if finding not in lost]
    return sorted(found, key=lambda finding: finding.severity != 'error')
