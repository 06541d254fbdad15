"""Make the data report: decode every file of every dataset of a config."""

from collections import Counter
from collections.abc import Sequence

from mmdavpt.errors import UsageError

from .built import build_datasets
from .dataset_records import DatasetRecords, collect_records
from .dataset_report import DataReport, DatasetReport
from .find import find_across, find_in
from .finding import Finding
from .image_findings import count_modes
from .scan import read_all, readers_of, records_file


def make_report(
    cfg: dict, splits: Sequence[str], workers: int = 2
) -> DataReport:
    """Read all data of a config, and report on it.

    Args:
        cfg (dict): The config with its ``work_dir``, which keeps the records
            of files for the next report.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.
        workers (int): The number of threads. Defaults to 2.
    """
    built, findings = [], []
    for split in splits:
        try:
            built += build_datasets(cfg, split)
        except UsageError as error:
            findings.append(Finding('error', 'unreadable', split, str(error)))
    work = {}
    for part in built:
        work |= readers_of(part, range(len(part.samples)))
    records = read_all(work, records_file(cfg['work_dir']), workers)
    data = [collect_records(part, records) for part in built]
    reports = []
    for i, part in enumerate(data):
        same = [d.path for d in data[:i] if _files(d) == _files(part)]
        reports.append(_describe(part, same[0] if same else ''))
    return DataReport(tuple(reports), (*findings, *find_across(data)))


def _describe(data: DatasetRecords, same_as: str) -> DatasetReport:
    """Return numbers and findings of a dataset."""
    if same_as:
        return DatasetReport(data.split, data.path, len(data.images), same_as)
    counts = {data.classes[k]: n for k, n in data.class_counts.items()}
    sizes = sorted((r.loaded_size for r in data.decoded), key=lambda s: s[0] * s[1])
    chosen = {'smallest': 0, 'median': len(sizes) // 2, 'largest': -1}
    return DatasetReport(
        data.split,
        data.path,
        len(data.images),
        classes=data.classes,
        images_per_class={} if data.labels else counts,
        pixels_per_class=counts if data.labels else {},
        label_values=dict(sorted(data.values.items())),
        sizes={name: sizes[i] for name, i in chosen.items() if sizes},
        formats=dict(Counter(r.format for r in data.images if r.format)),
        modes=dict(count_modes(data)),
        findings=find_in(data),
    )


def _files(data: DatasetRecords) -> list:
    return [
        (image.path, label)
        for image, label in zip(data.images, data.class_labels, strict=True)
    ] + [label.path for label in data.labels]
