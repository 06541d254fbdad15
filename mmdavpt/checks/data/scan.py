"""Read the files of datasets in parallel, and remember the records."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

from mmengine.utils import mkdir_or_exist
from rich.console import Console
from rich.progress import track

from mmdavpt.datasets.file_record import FileRecord, read_image, read_label

from .built import BuiltDataset

#: Path and reader of a file.
Key = tuple[str, str]


def records_file(work_dir: str) -> str:
    """Return the file that stores the records of a full report.

    Args:
        work_dir (str): The work folder of a run.
    """
    return os.path.join(work_dir, 'data_report', 'records.jsonl')


def load_records(path: str) -> dict[Key, FileRecord]:
    """Load the records of an earlier report, whose files may have changed.

    Args:
        path (str): The file. Lines that are cut off are skipped.
    """
    found = {}
    with suppress(FileNotFoundError), open(path, encoding='utf-8') as file:
        for line in file:
            with suppress(ValueError, TypeError):
                record = FileRecord.from_json(line)
                found[record.path, record.reader] = record
    return found


def still_valid(record: FileRecord | None) -> bool:
    """Return whether a file is as it was when its record was made.

    Args:
        record (FileRecord, optional): The record.
    """
    if record is None:
        return False
    with suppress(OSError, ValueError):
        now = os.stat(record.path)
        return (now.st_size, now.st_mtime_ns) == (record.size, record.mtime_ns)
    return False


def readers_of(
    built: BuiltDataset, indices: Iterable[int]
) -> dict[Key, Callable[[], FileRecord]]:
    """Return a function per file that decodes it.

    Args:
        built (BuiltDataset): The dataset.
        indices (Iterable[int]): The samples whose files to decode.
    """
    work = {}
    for i in indices:
        sample, (image, label) = built.samples[i], built.files(i)
        load = partial(built.load_image, dict(sample))
        work[image] = partial(read_image, image[0], load, image[1])
        if label[0]:
            load = partial(built.load_labels, dict(sample, seg_fields=[]))
            work[label] = partial(read_label, label[0], load, label[1])
    return work


def read_all(
    work: Mapping[Key, Callable[[], FileRecord]], path: str, workers: int
) -> dict[Key, FileRecord]:
    """Decode files in threads, with a progress bar on a terminal.

    Args:
        work (Mapping): What :func:`readers_of` returns.
        path (str): The file of records: files that have not changed since
            are not read again, and new records are appended.
        workers (int): The number of threads.

    Returns:
        dict: The records of all files of ``work``.
    """
    known = load_records(path)
    found = {k: known[k] for k in work if still_valid(known.get(k))}
    missing = [k for k in work if k not in found]
    mkdir_or_exist(os.path.dirname(path))
    console = Console(stderr=True)
    with (
        ThreadPool(workers) as pool,
        open(path, 'a', encoding='utf-8') as file,
    ):
        file.write('\n')  # the last line may be cut off
        records = track(
            pool.imap(lambda key: work[key](), missing, chunksize=16),
            'reading files',
            total=len(work),
            completed=len(found),
            console=console,
            disable=not console.is_terminal,
        )
        for key, record in zip(missing, records, strict=True):
            found[key] = record
            file.write(record.to_json() + '\n')
    return found
