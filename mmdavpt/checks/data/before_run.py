"""Check the data of a run in seconds, before the model is built."""

from collections.abc import Mapping
from multiprocessing.pool import ThreadPool

import numpy as np

from mmdavpt.datasets.file_record import FileRecord, read_header
from mmdavpt.errors import UsageError

from .built import BuiltDataset, build_datasets
from .dataset_records import DatasetRecords, collect_records
from .find import find_across, find_in
from .finding import Finding
from .scan import Key, load_records, readers_of, records_file, still_valid

#: Maximum number of samples of a dataset whose headers are read.
MOST_FILES = 100_000

#: The same for test data before a training, which does not read it.
MOST_TEST_FILES = 1000

#: How many evenly spread samples of a dataset are decoded.
MOST_DECODED = 64

#: How many label files are decoded if some class has no pixel in the first.
MOST_LABELS = 512


def check_run_data(cfg: dict, training: bool) -> list[str]:
    """Check the data of a run, and before a training also its test data.

    Reads the headers and ends of files and decodes a few: 0.4 to 0.8 s for
    10,000 JPEGs of 60 KB. Files that ``mmdavpt check`` has decoded since
    they changed are not read again.

    Args:
        cfg (dict): The config.
        training (bool): Whether the run is a training, not a test.

    Returns:
        list[str]: Warnings, also of broken files that the training will
        replace, and of defects of test data.

    Raises:
        UsageError: If data that the run reads is missing, broken or wrong.
    """
    known = load_records(records_file(cfg.get('work_dir') or ''))
    parts, notes, errors = [], [], []
    for split in ('train', 'val', 'test') if training else ('test',):
        unread = training and split == 'test'
        try:
            for built in build_datasets(cfg, split):
                most = MOST_TEST_FILES if unread else MOST_FILES
                parts.append(read_some(built, known, most))
        except UsageError as error:
            (notes if unread else errors).append(str(error))
    found = [(f'{part.path}: ', f) for part in parts for f in find_in(part)]
    found += [('', finding) for finding in find_across(parts)]
    for where, finding in found:
        sentence = where + finding.sentence
        if finding.severity == 'error' and training and 'test' in finding.split:
            notes.append(f'{sentence}; training does not read it, testing will')
        elif _is_replaced(finding, cfg):
            notes.append(
                f'{sentence}; max_broken_files allows it, so other samples '
                'replace them'
            )
        else:
            (errors if finding.severity == 'error' else notes).append(sentence)
    if errors:
        more = f'; there are {len(errors) - 1} more errors' if errors[1:] else ''
        raise UsageError(
            f'{errors[0]}{more}; `mmdavpt check CONFIG --data-only` lists '
            'every finding'
        )
    return notes


def read_some(
    built: BuiltDataset, known: Mapping[Key, FileRecord], most: int
) -> DatasetRecords:
    """Read headers of a dataset's files, and decode some.

    Args:
        built (BuiltDataset): The dataset.
        known (Mapping): Records of an earlier report.
        most (int): The maximum number of samples whose headers are read.
    """
    number = len(built.samples)
    keys = {
        key: None
        for i in evenly_spread(number, most)
        for key in built.files(i)
        if key[0]
    }
    records = {k: known[k] for k in keys if still_valid(known.get(k))}

    def decode(most: int, labels_only: bool) -> DatasetRecords:
        work = {
            key: read
            for key, read in readers_of(
                built, evenly_spread(number, most)
            ).items()
            if not (key in records and records[key].reader)
            and not (labels_only and key[1] != built.readers[1])
        }
        records.update(zip(work, pool.map(lambda read: read(), work.values()), strict=True))
        return collect_records(built, records)

    with ThreadPool(8) as pool:  # they wait for the disk
        rest = [key for key in keys if key not in records]
        headers = pool.map(read_header, [path for path, _ in rest])
        records.update(zip(rest, headers, strict=True))
        data = decode(MOST_DECODED, labels_only=False)
        if data.labels and not all(data.class_counts.values()):
            data = decode(MOST_LABELS, labels_only=True)
    return data


def evenly_spread(number: int, most: int) -> list[int]:
    """Return evenly spread indices, from the first to the last.

    Args:
        number (int): The number of items.
        most (int): The maximum number of indices.
    """
    most = min(number, most)
    return np.linspace(0, number - 1, most).round().astype(int).tolist()


def _is_replaced(finding: Finding, cfg: dict) -> bool:
    """Return whether a training tolerates the broken files of a finding."""
    hooks = cfg.get('custom_hooks') or []
    most = max((hook.get('max_broken_files', 0) for hook in hooks), default=0)
    return (finding.kind, finding.split) == ('broken_files', 'train') and (
        len(finding.files) <= most
    )
