"""Stopping a training on a signal, so that it can go on later."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, Optional, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

#: Slurm sends SIGTERM before it takes a machine away, and whatever signal
#: ``--signal`` names, mostly SIGUSR1, before the time is over; SIGINT is of
#: Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
#: Launchers pass on a signal that the processes also got themselves.
SAME_SIGNAL_SECONDS = 3.0


class Stopped(SystemExit):
    """A training stopped because it was asked to; nothing of it is lost.

    It ends a program that does not catch it, without an error.
    """

    def __init__(self) -> None:
        super().__init__(0)


class StopRequest:
    """Notes a signal instead of dying of it, while it is entered.

    A second signal has its usual effect, unless it comes so soon that it is
    the first, passed on by a launcher. Outside the main thread, where signals
    cannot be handled, nothing is noted.

    Args:
        at_once (bool): Whether the first signal raises :class:`Stopped`
            wherever the program is. Defaults to False: it is only noted.

    Attributes:
        signal (int): The number of the first signal, 0 while none came.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
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
            if self.at_once:
                raise Stopped
        elif now - self._noted > SAME_SIGNAL_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def agreed(self) -> int:
        """Return the signal that any process got, the same on all of them.

        All processes must call it together: a signal may reach only one.
        """
        if get_world_size() == 1:
            return self.signal
        noted = torch.tensor(self.signal)
        all_reduce(noted, 'max')
        return int(noted)

    def obey(self) -> None:
        """Stop if a signal asked any process for it.

        Raises:
            Stopped: Then, on all processes, which must call it together.
        """
        if self.agreed():
            raise Stopped


def stop_request_of(runner: Runner) -> StopRequest:
    """Return what notes signals for a runner.

    Args:
        runner (Runner): A runner; with the host's own loops nothing is noted.
    """
    return getattr(runner.train_loop, 'stop', None) or StopRequest()


def nothing_lost(number: int) -> str:
    """Return the sentence on a stop when there is nothing to save.

    Args:
        number (int): The number of the signal.
    """
    return (
        f'stopped by {signal.Signals(number).name} while no iteration was '
        'under way, so nothing is lost: start it again with --resume to go on'
    )


@contextmanager
def exit_cleanly_on_signal(alone: bool = True) -> Iterator[None]:
    """Let a signal end the program at once, but without an error.

    It is for what a program does before a training and after it.

    Args:
        alone (bool): Whether the program has one process. Of several, one
            that ended without an error would leave the others waiting: there
            signals keep their usual effect, which launchers see. Defaults to
            True.

    Raises:
        Stopped: On a signal, with a sentence on stderr. One that a training
            inside raises is passed on.
    """
    if not alone:
        yield
        return
    with StopRequest(at_once=True) as request:
        try:
            yield
        except Stopped:
            if request.signal:
                sys.stderr.write(
                    f'The training was {nothing_lost(request.signal)}.\n'
                )
            raise


class IgnoreSignals:
    """Prepare a worker of a loader: only the training itself may end it.

    A signal often goes to all processes of a job. A worker that died of it
    would end the training with an error before it could save.

    Args:
        init_fn (Callable, optional): What prepares the worker otherwise.
            Defaults to None.
    """

    def __init__(self, init_fn: Optional[Callable[[int], None]] = None):
        self.init_fn = init_fn

    def __call__(self, worker_id: int) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # For all threads, so that only the one that waits for it gets it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(
            target=_obey, args=(os.getppid(),), daemon=True
        ).start()
        if self.init_fn is not None:
            self.init_fn(worker_id)


def _obey(parent: int) -> None:
    """End this process when its parent says so."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def ignore_signals_in_workers(dataloader: DataLoader) -> DataLoader:
    """Let only the training itself end the workers of a loader.

    Args:
        dataloader (DataLoader): One that was not iterated over yet.

    Returns:
        DataLoader: The same.
    """
    if not isinstance(dataloader.worker_init_fn, IgnoreSignals):
        dataloader.worker_init_fn = IgnoreSignals(dataloader.worker_init_fn)
    return dataloader


class StopInValidation(Hook):
    """Stop within a validation too: it may last longer than one is given."""

    def __init__(self) -> None:
        self._common = 0

    def before_val_epoch(self, runner: Runner) -> None:
        """Agree on how many batches all processes have."""
        # All processes must ask together, and some have a batch less.
        least = torch.tensor(len(runner.val_dataloader))
        all_reduce(least, 'min')
        self._common = int(least)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[Sequence] = None,
    ) -> None:
        """Stop if a signal asked for it.

        Raises:
            Stopped: Then, on all processes.
        """
        if batch_idx < self._common:
            runner.train_loop.stop.obey()
