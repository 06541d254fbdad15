"""Write many files so that a stop at any moment leaves only whole ones."""

import multiprocessing
import os
from functools import partial
from typing import Any, BinaryIO, Callable, Sequence

from mmpretrain.utils import track_on_main_process


def replace_file(path: str, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file under another name first: it is whole or not there.

    Args:
        path (str): Path of the file.
        write (Callable): Writes the content to the open binary file.
    """
    temporary = f'{path}.{os.getpid()}.tmp'
    with open(temporary, 'wb') as file:
        write(file)
    os.replace(temporary, path)


def run_parallel(
    function: Callable[[Any], None],
    items: Sequence,
    num_workers: int,
    description: str,
) -> None:
    """Call a function on every item, with a bar that tells the time left.

    Args:
        function (Callable): Takes one item; picklable.
        items (Sequence): The items.
        num_workers (int): Processes; 0 works in this one.
        description (str): What the bar says.
    """
    if not items:
        return
    track = partial(
        track_on_main_process, description=description, total=len(items)
    )
    if num_workers == 0:
        for item in track(items):
            function(item)
        return
    with multiprocessing.Pool(num_workers) as pool:
        for _ in track(pool.imap_unordered(function, items, chunksize=8)):
            pass
