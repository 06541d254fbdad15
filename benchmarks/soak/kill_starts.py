"""Start the processes of a tiny training, and signal one of them."""

import atexit
import gc
import importlib
import multiprocessing
import os
import signal
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from .kill_configs import RUNS
from .kill_runs import train

NEEDED = [
    *(f'mmpretrain.{part}' for part in ('models', 'datasets', 'evaluation')),
    *(f'mmseg.{part}' for part in ('models', 'datasets', 'evaluation')),
    *(f'mmdavpt.{part}' for part in ('models', 'datasets', 'engine.hooks')),
    'matplotlib.pyplot',
    'mmengine.visualization.vis_backend',
]
#: Seconds after which a start counts as hanging.
LIMIT = 120.0


@dataclass
class Kill:
    """A signal sent to a run.

    Args:
        number (int): SIGKILL, SIGTERM or SIGUSR1.
        after (int): Iterations of this start that begin before it.
        delay (float): Seconds after that.
        rank (int): The rank that receives it.
        group (bool): Whether its loader's workers also receive it. Defaults
            to False.
    """

    number: int
    after: int
    delay: float = 0.0
    rank: int = 0
    group: bool = False

    def __str__(self) -> str:
        return (
            f'{signal.Signals(self.number).name} to rank {self.rank}'
            f'{" and its workers" if self.group else ""}, '
            f'{self.delay:.3f} s into iteration {self.after + 1} of a start'
        )


@dataclass
class Start:
    """The end of one start of a run.

    Args:
        exit_codes (list[int]): Of each process.
        iterations (list[int]): The iterations that began, counted from 0.
        killed (bool): Whether the signal was sent.
    """

    exit_codes: list
    iterations: list
    killed: bool = False


class NotKept(Exception):
    """A guarantee does not hold."""


def prepare() -> None:
    """Import everything that runs need, so that each start is a fork."""
    for name in NEEDED:
        importlib.import_module(name)
    torch.set_num_threads(1)
    # Scanning all modules would take longer than a tiny run.
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # for a normal shutdown


def start(name: str, work_dir: Path, kill: Kill | None = None) -> Start:
    """Start or resume a run, and optionally kill it.

    Args:
        name (str): A key of :data:`RUNS`.
        work_dir (Path): Its work folder.
        kill (Kill, optional): The signal to send. Defaults to None.
    """
    context = multiprocessing.get_context('fork')
    port = _free_port()
    processes, hears = [], []
    for rank in range(RUNS[name][2]):
        hear, told = context.Pipe(duplex=False)
        process = context.Process(
            target=train, args=(name, str(work_dir), rank, port, told)
        )
        process.start()
        told.close()
        processes.append(process)
        hears.append(hear)
    deadline = time.monotonic() + LIMIT
    begun, killed = _listen(hears[0], processes, kill, deadline)
    if killed and kill.number == signal.SIGKILL:
        # The other ranks would notice later.
        for process in processes:
            process.kill()
    for process in processes:
        process.join(max(0.1, deadline - time.monotonic()))
    hung = [process for process in processes if process.is_alive()]
    for process in processes:
        process.kill()
        process.join()
    for hear in hears:
        hear.close()
    if hung:
        raise NotKept(f'{len(hung)} processes hung for {LIMIT:.0f} s')
    return Start([process.exitcode for process in processes], begun, killed)


def _listen(
    hear: Connection, processes: list, kill: Kill | None, deadline: float
) -> tuple[list, bool]:
    """Return the iterations that begin, and whether the signal was sent."""
    begun, killed = [], False
    while time.monotonic() < deadline:
        if hear.poll(0.02):
            try:
                begun.append(hear.recv())
            except EOFError:
                break
            if kill and not killed and len(begun) == kill.after + 1:
                time.sleep(kill.delay)
                victim = processes[kill.rank]
                killed = victim.is_alive()
                if killed:
                    (os.killpg if kill.group else os.kill)(
                        victim.pid, kill.number
                    )
                if kill.number == signal.SIGKILL:
                    break
        elif not all(process.is_alive() for process in processes):
            break
    return begun, killed


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


def ends(name: str, work_dir: Path) -> list[dict]:
    """Return the final state of each process of a run."""
    return [
        torch.load(work_dir / f'end_{rank}.pth', weights_only=False)
        for rank in range(RUNS[name][2])
    ]
