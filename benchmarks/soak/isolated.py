"""Run many small cases in a process that may crash or hang."""

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

#: Seconds after which a silent case counts as hanging.
LIMIT = 60.0

#: Bytes that a process may allocate.
MEMORY = 8 << 30


class NotKept(Exception):
    """A guarantee does not hold."""


def try_cases(
    name: str,
    case: Callable[[int], str],
    count: int,
    seed: int,
    deadline: float,
) -> Report:
    """Run a case with many seeds, and survive whatever it does.

    Args:
        name (str): Name of the report.
        case (Callable[[int], str]): Takes a seed and returns the outcome in a
            few words. Raises :class:`NotKept` if a guarantee does not hold;
            any other exception also counts as a failure.
        count (int): The number of seeds.
        seed (int): The first seed.
        deadline (float): The latest end, in ``time.monotonic`` seconds.

    Returns:
        Report: The outcomes.
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
    """Count the outcomes of a process until it ends, crashes or hangs."""
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
    # Image decoders write straight to these.
    with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    # A crash is an outcome and needs no traceback.
    faulthandler.disable()
    # mmengine collects garbage for each dataset; scanning all imported modules
    # would take most of the time.
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
    except BaseException as error:  # such as SystemExit
        frames = traceback.extract_tb(error.__traceback__)
        places = [f'{f.filename}:{f.lineno}' for f in frames[-3:]]
        return '', (
            f'{type(error).__name__}: {str(error)[:300]} '
            f'({" < ".join(reversed(places))})'
        )
