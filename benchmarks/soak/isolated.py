"""Many small cases in a process of their own, which may crash or hang."""

import faulthandler
import gc
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from .report import Report

#: Seconds: a case that says nothing for longer hangs.
LIMIT = 60.0

#: Bytes that a process may ask for beyond what it has at its start.
MEMORY = 8 << 30


class NotKept(Exception):
    """A promise was not kept."""


def try_cases(
    name: str,
    case: Callable[[int], str],
    count: int,
    seed: int,
    deadline: float,
) -> Report:
    """Try a case with many seeds; survive it whatever it does.

    Args:
        name (str): What the report is called.
        case (Callable[[int], str]): Takes a seed and returns the outcome, in
            few words; raises :class:`NotKept` where a promise is not kept.
            Anything else that it raises counts as a failure too.
        count (int): How many seeds to try.
        seed (int): The first; the others follow it.
        deadline (float): When to end at the latest, of ``time.monotonic``.

    Returns:
        Report: Of all cases.
    """
    began = time.monotonic()
    report = Report(name)
    context = multiprocessing.get_context('fork')
    while report.count < count and time.monotonic() < deadline:
        hear, told = context.Pipe(duplex=False)
        first = seed + report.count
        process = context.Process(
            target=_work,
            args=(case, first, count - report.count, deadline, told),
        )
        process.start()
        told.close()
        _listen(hear, process, report, first)
    report.seconds = time.monotonic() - began
    return report


def _listen(
    hear: Connection,
    process: multiprocessing.Process,
    report: Report,
    seed: int,
) -> None:
    """Count what a process tells, until it ends, crashes or hangs."""
    while hear.poll(LIMIT):
        try:
            outcome, failure = hear.recv()
        except EOFError:
            process.join()
            if process.exitcode:
                report.failed(seed, f'the process died of {process.exitcode}')
            return
        if failure is None:
            report.passed(outcome)
        else:
            report.failed(seed, failure)
        seed += 1
    process.kill()
    process.join()
    report.failed(seed, f'it hung for {LIMIT:.0f} s')


def _work(
    case: Callable[[int], str],
    seed: int,
    count: int,
    deadline: float,
    told: Connection,
) -> None:
    # Decoders write about broken images straight to these.
    with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    # A crash is a result here, which needs no report of its own.
    faulthandler.disable()
    # The hosts collect garbage whenever they make a dataset; going through all
    # that is imported would take most of the time.
    gc.collect()
    gc.freeze()
    _limit_memory()
    for one in range(seed, seed + count):
        if time.monotonic() > deadline:
            return
        told.send(_try(case, one))


def _limit_memory() -> None:
    with open('/proc/self/statm') as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


def _try(case: Callable[[int], str], seed: int) -> tuple[str, str | None]:
    try:
        return case(seed), None
    except NotKept as error:
        return '', str(error)
    except BaseException as error:  # whatever the code under test does
        frames = traceback.extract_tb(error.__traceback__)
        places = [f'{f.filename}:{f.lineno}' for f in frames[-3:]]
        return '', (
            f'{type(error).__name__}: {str(error)[:300]} '
            f'({" < ".join(reversed(places))})'
        )
