"""Make the data report: decode every file of every dataset of a config."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mmdavpt.datasets.record_cache import read_all, records_file

from .built import build_all
from .dataset_records import DatasetRecords
from .dataset_report import DataReport, DatasetReport
from .find import find_in
from .split_findings import find_across


def make_report(
    cfg: dict, splits: Sequence[str], workers: int = 2
) -> tuple[DataReport, list[DatasetRecords]]:
    """Read all data of a config, and report on it.

    Args:
        cfg (dict): The config with its ``work_dir``, which keeps the records
            of files for the next report.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.
        workers (int): The number of threads. Defaults to 2.

    Returns:
        tuple[DataReport, list[DatasetRecords]]: The report, and the datasets
        that could be built.
    """
    built, findings = build_all(cfg, splits)
    work = {}
    for part in built:
        work |= part.files.work(range(len(part.files.samples)))
    records = read_all(work, records_file(cfg), workers)
    data = [replace(part, records=records) for part in built]
    firsts, reports = {}, []
    for part in data:
        first = firsts.setdefault(_files(part), part)
        reports.append(_describe(part, first, data))
    across = find_across(data)
    return DataReport(tuple(reports), (*findings, *across)), built


def _describe(
    data: DatasetRecords, first: DatasetRecords, parts: list[DatasetRecords]
) -> DatasetReport:
    """Return numbers and findings of a dataset, or who has the same files."""
    name = (data.split, data.path, len(data.files.dataset))
    if first is not data:
        return DatasetReport(*name, same_as=first.path)
    classes = data.classes
    often = Counter(classes)
    counts = {
        # Two classes of ImageNet are called 'crane'.
        classes[k] if often[classes[k]] == 1 else f'{classes[k]} ({k})': number
        for k, number in data.class_counts.items()
        if data.images
    }
    sizes = [record.loaded_size for record in data.images]
    sizes = sorted(filter(None, sizes), key=math.prod)
    chosen = {'smallest': 0, 'median': len(sizes) // 2, 'largest': -1}
    known = [record for record in data.images if record.mode]
    return DatasetReport(
        *name,
        classes=classes,
        label_values=dict(sorted(data.counts.items())) if data.labels else {},
        sizes={name: sizes[i] for name, i in chosen.items() if sizes},
        formats=dict(Counter(r.format for r in known)),
        modes=dict(Counter(f'{r.mode}, {r.bits} bits' for r in known)),
        findings=tuple(find_in(data, parts)),
        **{f'{data.unit}_per_class': counts},
    )


def _files(data: DatasetRecords) -> tuple:
    """Return what makes the findings of two datasets equal."""
    files, classes = data.files, data.classes
    drawn = data.path * (not files.images)
    lists = map(tuple, (files.images, files.labels, files.classes))
    return *lists, classes, drawn
