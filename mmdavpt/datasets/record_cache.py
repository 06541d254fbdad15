"""Read files in parallel, and keep their records for the next time."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.pool import ThreadPool

from mmengine.utils import mkdir_or_exist
from rich.console import Console
from rich.progress import track

from .file_record import FileRecord
from .sample_files import Key


def records_file(cfg: dict) -> str:
    """Return the file of records in the work folder of a config.

    Args:
        cfg (dict): The config.
    """
    return os.path.join(
        cfg.get('work_dir') or '', 'data_report', 'records.jsonl'
    )


def load_records(path: str) -> dict[Key, FileRecord]:
    """Load the records of an earlier report whose files have not changed.

    Args:
        path (str): The file of records. Lines that are cut off are skipped.
    """
    known = {}
    with suppress(FileNotFoundError), open(path, encoding='utf-8') as file:
        for line in file:
            with suppress(ValueError, TypeError):
                record = FileRecord.from_json(line)
                known[record.path, record.reader] = record
    return {
        key: record for key, record in known.items() if _is_unchanged(record)
    }


def _is_unchanged(record: FileRecord) -> bool:
    """Return whether a file is as it was when its record was made."""
    known = (record.size, record.mtime_ns)
    with suppress(OSError, ValueError):
        now = os.stat(record.path)
        return (now.st_size, now.st_mtime_ns) == known
    return False


def read_all(
    work: Mapping[Key, Callable[[], FileRecord]], path: str, workers: int
) -> dict[Key, FileRecord]:
    """Decode files in threads, with a progress bar on a terminal.

    Args:
        work (Mapping): A function for each file.
        path (str): The file of records: files that have not changed since
            are not read again, and new records are appended.
        workers (int): The number of threads.

    Returns:
        dict: The records of all files of ``work``.
    """
    known = load_records(path)
    found = {key: known[key] for key in work if key in known}
    missing = [key for key in work if key not in found]
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
