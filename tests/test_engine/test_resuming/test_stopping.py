"""Signals: the first is recorded, the second acts, workers ignore them."""

import os
import signal
import subprocess
import threading

import pytest
from torch.utils.data import DataLoader

from mmdavpt.engine.resuming import stopping
from mmdavpt.engine.resuming.stopping import (
    IgnoreSignals,
    StopRequest,
    ignore_signals_in_workers,
)


@pytest.mark.parametrize('number', stopping.SIGNALS)
def test_signal_is_recorded_once(number):
    before = signal.getsignal(number)
    with StopRequest() as request:
        assert request.agreed() == 0
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert request.agreed() == number
    assert signal.getsignal(number) is before


def test_second_signal_has_its_usual_effect(monkeypatch):
    monkeypatch.setattr(stopping, 'SAME_SIGNAL_SECONDS', -1.0)
    child = os.fork()
    if not child:
        with StopRequest():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -15


def test_no_signal_handling_outside_the_main_thread():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with StopRequest():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_workers_obey_only_their_parent():
    loader = DataLoader(
        list(range(8)), num_workers=1, worker_init_fn=IgnoreSignals()
    )
    batches = iter(loader)
    next(batches)
    (worker,) = batches._workers
    for name in ('TERM', 'USR1', 'INT'):
        subprocess.run(['kill', f'-{name}', str(worker.pid)], check=True)
    assert [int(batch) for batch in batches] == list(range(1, 8))
    batches = iter(loader)
    next(batches)
    (worker,) = batches._workers
    worker.terminate()
    worker.join(20)
    assert worker.exitcode == 0


def note(worker_id):
    os.environ['NOTED'] = f'by worker {worker_id}'


class Notes:
    """A dataset of the worker's settings."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return os.environ.get('NOTED')


def test_signals_are_ignored_once_and_init_fn_is_kept():
    loader = DataLoader(Notes(), num_workers=1, worker_init_fn=note)
    patient = ignore_signals_in_workers(
        ignore_signals_in_workers(loader)
    ).worker_init_fn
    assert patient.init_fn is note
    assert [batch[0] for batch in loader] == ['by worker 0'] * 2
