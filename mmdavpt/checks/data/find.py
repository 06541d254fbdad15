"""Run all findings over the records of datasets."""

from collections.abc import Iterator, Sequence

from mmdavpt.engine.class_counts import class_order_defect

from . import duplicate_findings, image_findings, label_findings
from .dataset_records import DatasetRecords, listed
from .duplicate_findings import leaks
from .finding import Finding
from .image_findings import is_gray

#: What finds each kind of defect of one dataset.
FINDERS = (
    image_findings.broken_files,
    label_findings.rejected_labels,
    label_findings.label_sizes,
    label_findings.color_labels,
    label_findings.wide_labels,
    label_findings.lossy_labels,
    label_findings.class_out_of_range,
    label_findings.values_out_of_range,
    label_findings.missing_classes,
    label_findings.imbalance,
    duplicate_findings.duplicates,
    image_findings.lost_range,
    image_findings.transparency,
    image_findings.converted_colors,
    image_findings.dropped_frames,
    image_findings.mixed_channels,
    image_findings.constant_images,
    image_findings.orientation_tags,
    image_findings.smaller_than_crop,
)


def find_in(data: DatasetRecords) -> tuple[Finding, ...]:
    """Return the findings of one dataset, errors first.

    Args:
        data (DatasetRecords): Its records.
    """
    return _errors_first(f for finder in FINDERS for f in finder(data))


def find_across(parts: Sequence[DatasetRecords]) -> tuple[Finding, ...]:
    """Return the findings across datasets, errors first.

    Args:
        parts (Sequence[DatasetRecords]): The datasets of all splits, training
            sets first.
    """
    finders = (leaks, different_classes, different_channels)
    return _errors_first(f for finder in finders for f in finder(parts))


def different_classes(parts: Sequence[DatasetRecords]) -> Iterator[Finding]:
    """Find splits that number the classes differently.

    Args:
        parts (Sequence[DatasetRecords]): The datasets of all splits.
    """
    for first, other in _pairs(parts):
        if not (first.classes and other.classes):
            continue
        defect = class_order_defect(
            first.classes, other.classes, other=f'{other.split} set'
        )
        if defect:
            both = f'train and {other.split}'
            yield Finding('error', 'different_classes', both, defect)


def different_channels(parts: Sequence[DatasetRecords]) -> Iterator[Finding]:
    """Find splits of gray and of color images.

    Args:
        parts (Sequence[DatasetRecords]): The datasets of all splits.
    """
    for first, other in _pairs(parts):
        modes = [
            {is_gray(r.mode) for r in part.images if r.mode}
            for part in (first, other)
        ]
        if {True} in modes and {False} in modes:
            kinds = ['gray' if True in m else 'in color' for m in modes]
            yield Finding(
                'warning',
                'different_channels',
                f'train and {other.split}',
                f'the training images are {kinds[0]}, but '
                f'{listed(other.images)} of {other.path} are {kinds[1]}; '
                'use the same kind of images',
                tuple(record.path for record in other.images),
            )


def _pairs(
    parts: Sequence[DatasetRecords],
) -> Iterator[tuple[DatasetRecords, DatasetRecords]]:
    """Yield the first training set with each dataset of another split."""
    first = next((part for part in parts if part.split == 'train'), None)
    for other in parts:
        if first is not None and other.split != 'train':
            yield first, other


def _errors_first(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda f: f.severity != 'error'))
