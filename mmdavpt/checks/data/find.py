"""All findings of one dataset."""

import os.path as osp
from collections.abc import Iterable, Iterator

from mmdavpt.datasets.file_checks import FILE_CHECKS

from . import label_findings as labels
from . import split_findings as splits
from .dataset_records import DatasetRecords, listed
from .finding import Finding
from .folders import folder_findings
from .lists import list_findings

#: Kinds of findings that say why files are missing.
MISSING = ('list_missing_file', 'images_without_labels')


def file_findings(data: DatasetRecords) -> Iterator[Finding]:
    """Find defects of single files, grouped by kind.

    Args:
        data (DatasetRecords): A dataset.
    """
    for kind, severity, where, concerns, sentence in FILE_CHECKS:
        images = data.images if where != 'label file' else []
        labels = data.labels if where != 'image' else []
        files = [*images, *labels]
        found = [r for r in files if concerns(r, data.built.files)]
        found = list({record.path: record for record in found}.values())
        if found:
            more = f' ({len(found) - 1} more)' * (len(found) > 1)
            sentence = sentence.format(
                files=listed(found, where), first=found[0], more=more
            )
            yield data.finding(kind, severity, sentence, found)


FINDERS = (
    file_findings,
    labels.label_sizes,
    labels.class_out_of_range,
    labels.values_out_of_range,
    labels.missing_classes,
    labels.imbalance,
    splits.duplicates,
    splits.mixed_channels,
)


def find_in(
    data: DatasetRecords, parts: Iterable[DatasetRecords]
) -> list[Finding]:
    """Return the findings of one dataset, errors first.

    Args:
        data (DatasetRecords): Its records.
        parts (Iterable[DatasetRecords]): The datasets of all splits.
    """
    dataset, split = data.built.files.dataset, data.built.split
    used = [r.path for part in parts for r in (*part.images, *part.labels)]
    found = [
        *list_findings(dataset, split),
        *folder_findings(data.built.files, split, used),
        *(finding for finder in FINDERS for finding in finder(data)),
    ]
    if any(finding.kind in MISSING for finding in found):
        found = [f for f in found if not _only_missing(f)]
    return sorted(found, key=lambda finding: finding.severity != 'error')


def _only_missing(finding: Finding) -> bool:
    """Return whether a finding just says that files do not exist."""
    broken = finding.kind == 'broken_files'
    return broken and not any(map(osp.exists, finding.files))
