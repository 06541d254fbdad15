"""Runs of an experiment that work until a signal, in other processes."""

import signal
import time
from pathlib import Path
from typing import NamedTuple

STOPPED = 'stopped'


class FolderRun(NamedTuple):
    """A stand-in for a run."""

    folder: Path


def work(run):
    """Note that the run has started; return when SIGTERM arrives."""
    found = []
    signal.signal(signal.SIGTERM, lambda *_: found.append(STOPPED))
    (run.folder / 'started').touch()
    end = time.monotonic() + 120  # a failure, not a hang, without signal
    while not found and time.monotonic() < end:
        time.sleep(0.01)
    (run.folder / 'stopped').touch()
    return STOPPED
