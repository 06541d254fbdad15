"""Write files atomically and in parallel, with a progress bar."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from mmdavpt.progress import track


def replace_file(path: str, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file atomically: under a temporary name, then renamed.

    Args:
        path (str): Path of the file.
        write (Callable): Writes the content to the open binary file.
    """
    temporary = f'{path}.{os.getpid()}.tmp'
    with open(temporary, 'wb') as file:
        write(file)
    os.replace(temporary, path)


def replace_text(path: str, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Args:
        path (str): Path of the file.
        text (str): Its content.
    """
    replace_file(path, lambda file: file.write(text.encode()))


def run_parallel(
    function: Callable[[Any], Any],
    items: Sequence,
    num_workers: int,
    description: str,
) -> list:
    """Call a function on every item, with a progress bar.

    Args:
        function (Callable): Takes one item; picklable.
        items (Sequence): The items.
        num_workers (int): Number of processes; 0 uses this process.
        description (str): Label of the bar.

    Returns:
        list: The results, in any order.
    """
    if not items:
        return []
    if num_workers == 0:
        return [function(item) for item in track(items, description)]
    with multiprocessing.Pool(num_workers) as pool:
        results = pool.imap_unordered(function, items, chunksize=8)
        return list(track(results, description, len(items)))
