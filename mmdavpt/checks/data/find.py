"""All findings of one dataset."""

import os.path as osp
from collections.abc import Iterable, Iterator

from mmdavpt.datasets.file_checks import FILE_CHECKS

from . import label_findings as labels
from .dataset_records import DatasetRecords, and_more, listed
from .finding import Finding
from .folders import folder_findings
from .lists import list_findings
from .split_findings import duplicates

#: Kinds of findings that say why files are missing.
MISSING = {'list_missing_file', 'images_without_labels'}


def file_findings(data: DatasetRecords) -> Iterator[Finding]:
    """Find defects of single files, grouped by kind.

    Args:
        data (DatasetRecords): A dataset.
    """
    both = [*data.images, *data.labels]
    files = {'image': data.images, 'label file': data.labels, 'file': both}
    for severity, where, checks in FILE_CHECKS:
        for kind, concerns, sentence in checks:
            found = [r for r in files[where] if concerns(r, data.files)]
            found = list({record.path: record for record in found}.values())
            if found:
                names, more = listed(found, where), and_more(found)
                what = sentence.format(files=names, first=found[0], more=more)
                yield data.finding(kind, severity, what, found)


FINDERS = (
    *(file_findings, duplicates, labels.label_sizes, labels.class_order),
    *(labels.labels_out_of_range, labels.missing_classes, labels.imbalance),
)


def find_in(
    data: DatasetRecords, parts: Iterable[DatasetRecords]
) -> list[Finding]:
    """Return the findings of one dataset, errors first.

    Args:
        data (DatasetRecords): Its records.
        parts (Iterable[DatasetRecords]): The datasets of all splits.
    """
    used = [r.path for part in parts for r in (*part.images, *part.labels)]
    found = [
        *list_findings(data.files.dataset, data.split),
        *folder_findings(data.files, data.split, used),
        *(finding for finder in FINDERS for finding in finder(data)),
    ]
    if MISSING & {finding.kind for finding in found}:
        found = [f for f in found if not _only_missing(f)]
    return sorted(found, key=lambda finding: finding.severity != 'error')


def _only_missing(finding: Finding) -> bool:
    """Return whether a finding just says that files do not exist."""
    broken = finding.kind == 'broken_files'
    return broken and not any(map(osp.exists, finding.files))
