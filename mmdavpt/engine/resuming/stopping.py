"""Signals: stop a training so that it can be resumed, and spare workers."""

import os
import signal
import threading
import time
from collections.abc import Callable

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

#: Slurm sends SIGTERM before it preempts a job, and the signal that
#: ``--signal`` names, usually SIGUSR1, before the time limit. Ctrl-C is
#: SIGINT.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
#: A launcher may pass on a signal that the process received as well.
SAME_SIGNAL_SECONDS = 3.0


class Stopped(SystemExit):
    """The training stopped on request and can be resumed.

    If nothing catches it, the program ends with exit code 0.
    """

    def __init__(self) -> None:
        super().__init__(0)


class StopRequest:
    """Context that records signals instead of ending the process.

    A second signal has its usual effect, unless it follows so soon that it
    must be the first one, passed on by a launcher. Outside the main thread,
    where Python handles no signals, nothing is noted.

    Attributes:
        signal (int): The number of the first signal, 0 before any.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._noted = 0.0
        self._previous = {}

    def __enter__(self) -> 'StopRequest':
        if threading.current_thread() is threading.main_thread():
            self._previous = {
                number: signal.signal(number, self._note) for number in SIGNALS
            }
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _note(self, number: int, frame) -> None:
        now = time.monotonic()
        if not self.signal:
            self.signal, self._noted = number, now
        elif now - self._noted > SAME_SIGNAL_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def agreed(self) -> int:
        """Return a signal that any rank received, the same on all ranks.

        All ranks must call it together: a signal may reach only one.
        """
        if get_world_size() == 1:
            return self.signal
        noted = torch.tensor(self.signal)
        all_reduce(noted, 'max')
        return int(noted)

    def obey(self) -> None:
        """Stop if any rank received a signal; all ranks call it together.

        Raises:
            Stopped: On all ranks, if so.
        """
        if self.agreed():
            raise Stopped


def stop_request_of(runner: Runner) -> StopRequest:
    """Return the stop request of a runner.

    Args:
        runner (Runner): A runner; with mmengine's own loops, a request that no
            signal sets.
    """
    return getattr(runner.train_loop, 'stop', None) or StopRequest()


class StopInValidation(Hook):
    """Stop within a validation, which may outlast the grace period.

    Validations of averaged weights are finished.
    """

    _common = 0

    def before_val_epoch(self, runner: Runner) -> None:
        """Agree on how many batches all ranks have."""
        # EMA hooks swap the weights and their averages until its end, and a
        # checkpoint from in between would store the two swapped.
        averaged = any(isinstance(hook, EMAHook) for hook in runner.hooks)
        # Ranks must ask together, and some have one batch fewer.
        least = torch.tensor(0 if averaged else len(runner.val_dataloader))
        all_reduce(least, 'min')
        self._common = int(least)

    def after_val_iter(self, runner: Runner, batch_idx: int, **_) -> None:
        """Stop if any rank received a signal.

        Raises:
            Stopped: On all ranks, if so.
        """
        if batch_idx < self._common:
            runner.train_loop.stop.obey()


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
