"""Worker processes of data loaders: protected from signals, ended cleanly."""

import os
import signal
import threading
from collections.abc import Callable

from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter


class IgnoreSignals:
    """A ``worker_init_fn``: only the training process may end the worker.

    Launchers often signal all processes of a job. If that killed a worker, the
    training would end with an error before it could save.

    Args:
        init_fn (Callable, optional): The loader's own ``worker_init_fn``.
            Defaults to None.
    """

    def __init__(self, init_fn: Callable[[int], None] | None = None) -> None:
        self.init_fn = init_fn

    def __call__(self, worker_id: int) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Blocked in all threads, so that only the waiting one receives it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(
            target=_exit_with_parent, args=(os.getppid(),), daemon=True
        ).start()
        if self.init_fn is not None:
            self.init_fn(worker_id)


def _exit_with_parent(parent: int) -> None:
    """End this process when its parent sends SIGTERM."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def ignore_signals_in_workers(dataloader: DataLoader) -> DataLoader:
    """Protect the workers of a loader from signals of other processes.

    Args:
        dataloader (DataLoader): A loader that was not iterated over yet,
            changed in place.

    Returns:
        DataLoader: The same loader.
    """
    if not isinstance(dataloader.worker_init_fn, IgnoreSignals):
        dataloader.worker_init_fn = IgnoreSignals(dataloader.worker_init_fn)
    return dataloader


def shut_down_workers(*loops: object) -> None:
    """End the workers of the loaders of some loops.

    The garbage collector would take five seconds for each: it removes the
    pipes that tell workers to end together with their iterator.

    Args:
        *loops (object): Loops of a runner; those not built yet are skipped.
    """
    for loop in loops:
        loader = getattr(loop, 'dataloader', None)
        endless = getattr(loop, 'dataloader_iterator', None)
        for owner in (loader, endless):
            iterator = getattr(owner, '_iterator', None)
            if isinstance(iterator, _MultiProcessingDataLoaderIter):
                iterator._shutdown_workers()
        if loader is not None:
            loader._iterator = None  # the next pass starts new workers
