"""Simulate a power cut at every moment of a save.

Only synced data survives for sure: the bytes of a file after its ``fsync``,
the names of a folder after the folder's. Each case records how a save changes
its folder and writes one state that the disk may have kept. Names are those
of the last sync or of any later moment, in order, as in a journal; a file
that was not synced is empty, cut in half, or complete. A new start must find
its last checkpoint.
"""

import copy
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from .report import Report
from .saves import STEPS, Saving


class Moment(NamedTuple):
    """The content of a folder, and what was just synced.

    Attributes:
        names (dict[str, int]): Name of a file to its inode.
        contents (dict[int, bytes]): Inode to bytes.
        sure (int | None): The inode of the file that was just synced.
        sure_names (bool): Whether the folder was just synced.
    """

    names: dict[str, int]
    contents: dict[int, bytes]
    sure: int | None = None
    sure_names: bool = False


#: Names and bytes of the files on a disk.
Disk = dict[str, bytes]


class Recorder:
    """Record the changes of a folder, call by call.

    Args:
        folder (str): The folder; its content counts as synced.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._open = ExitStack()
        self.moments = [self._look()._replace(sure_names=True)]

    def __enter__(self) -> 'Recorder':
        for name in STEPS:
            watched = mock.patch.object(
                os, name, self._watching(name, getattr(os, name))
            )
            self._open.enter_context(watched)
        return self

    def __exit__(self, *_) -> None:
        self.moments.append(self._look())
        self._open.close()

    def _look(self) -> Moment:
        names, contents = {}, {}
        for entry in os.scandir(self.folder):
            if entry.is_file():
                # Held open, so that its inode is not reused.
                file = self._open.enter_context(open(entry.path, 'rb'))
                number = names[entry.name] = os.fstat(file.fileno()).st_ino
                contents[number] = file.read()
        return Moment(names, contents)

    def _watching(self, name: str, function):
        def call(target, *args):
            self.moments.append(self._look())
            function(target, *args)
            moment = self._look()
            if name == 'fsync':
                number = os.fstat(target).st_ino
                moment = moment._replace(
                    sure=number,
                    sure_names=number == os.stat(self.folder).st_ino,
                )
            self.moments.append(moment)

        return call


def disks(moments: list[Moment]) -> Iterator[Disk]:
    """Yield the states of a disk if the power fails after the last moment.

    Args:
        moments (list[Moment]): From the first, when everything was synced.
    """
    last_sure = max(i for i, moment in enumerate(moments) if moment.sure_names)
    seen = []
    for later in moments[last_sure:]:
        if later.names not in seen:
            seen.append(later.names)
    for names in seen:
        choices = [bytes_of(number, moments) for number in names.values()]
        for contents in product(*choices):
            yield dict(zip(names, contents, strict=True))


def bytes_of(number: int, moments: list[Moment]) -> list[bytes]:
    """Return the distinct contents that a file may be left with.

    Args:
        number (int): The inode of the file.
        moments (list[Moment]): Until the power fails.
    """
    kept: list[bytes] = []
    newest = b''
    for i, moment in enumerate(moments):
        if number not in moment.contents:
            continue
        newest = moment.contents[number]
        if i == 0 or moment.sure == number:
            kept = [newest]
    if kept != [newest]:
        kept += [b'', newest[: len(newest) // 2], newest]
    return list(dict.fromkeys(kept))


def run(count: int, seed: int, deadline: float) -> Report:
    """Simulate power cuts of saves, and look for lost checkpoints.

    Args:
        count (int): The number of disk states.
        seed (int): The first seed; it draws how many checkpoints are kept.
        deadline (float): The latest end, in ``time.monotonic`` seconds.

    Returns:
        Report: The outcomes.
    """
    report, begin = Report('power'), time.monotonic()
    while report.count < count and time.monotonic() < deadline:
        draw = random.Random(seed)
        with tempfile.TemporaryDirectory() as folder:
            saving = Saving(folder)
            saving.hook.max_keep_ckpts = draw.choice([1, 2, 3])
            for _ in range(draw.randrange(3)):
                saving.save()
            for problem in cut_save(saving):
                if report.count == count:
                    break
                if problem is None:
                    report.passed('resumed')
                else:
                    report.failed(seed, problem)
        seed += 1
    report.seconds = time.monotonic() - begin
    return report


def cut_save(saving: Saving) -> Iterator[str | None]:
    """Save once, and yield the problem of each possible disk state.

    Args:
        saving (Saving): The run; it has saved once more afterwards.
    """
    before = saving.step
    with Recorder(saving.folder) as recorder:
        saving.save()
    moments = recorder.moments
    for end in range(1, len(moments) + 1):
        for disk in disks(moments[:end]):
            with tempfile.TemporaryDirectory() as found:
                for name, content in disk.items():
                    Path(found, name).write_bytes(content)
                started = copy.copy(saving)
                started.folder = found
                # A save that has returned counts as synced.
                started.sure = before if end < len(moments) else saving.step
                problem = started.problem()
            yield problem and f'after {end} of {len(moments)}: {problem}'
