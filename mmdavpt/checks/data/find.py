"""All findings of one dataset."""

import os.path as osp
from collections.abc import Iterable, Iterator

from mmdavpt.datasets.file_checks import FILE_CHECKS

from . import label_findings as labels
from .checked_dataset import CheckedDataset, and_more, listed
from .finding import Finding
from .folder_findings import folder_findings
from .list_findings import list_findings

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
