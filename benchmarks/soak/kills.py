"""Kill trainings at any moment, and compare them with uninterrupted ones."""

import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import torch

from .kill_configs import RUNS
from .kill_starts import Kill, NotKept, ends, prepare, start
from .report import Report

#: Seconds, slightly longer than an iteration and a save.
LONGEST_DELAY = 0.06


def uninterrupted(name: str, work_dir: Path) -> tuple[list[dict], int]:
    """Train without interruption; return final states and iterations.

    Args:
        name (str): A key of :data:`RUNS`.
        work_dir (Path): An empty folder.
    """
    whole = start(name, work_dir)
    if any(whole.exit_codes):
        said = (work_dir / 'output_0.txt').read_text()[-2000:]
        raise NotKept(
            f'an uninterrupted run ended with {whole} and the output\n{said}'
        )
    return ends(name, work_dir), len(whole.iterations)


def kill_and_compare(
    name: str, work_dir: Path, kills: list[Kill], expected: list[dict]
) -> list[str]:
    """Kill and resume a run several times, and compare it bit by bit.

    Args:
        name (str): A key of :data:`RUNS`.
        work_dir (Path): An empty folder.
        kills (list[Kill]): One per start but the last.
        expected (list[dict]): The final states of an uninterrupted run.

    Returns:
        list[str]: The outcome of each kill that hit the run.

    Raises:
        NotKept: If a value differs, a stop was not clean, or a saved
            iteration was repeated.
    """
    outcomes, saved = [], None
    for kill in [*kills, None]:
        done = start(name, work_dir, kill)
        if saved is not None and done.iterations[:1] not in ([], [saved]):
            raise NotKept(
                f'{saved} iterations were saved, but the next start began '
                f'with number {done.iterations[0]}, counted from 0'
            )
        saved = None
        if not done.killed:
            if any(done.exit_codes):
                raise NotKept(f'a start ended with {done.exit_codes}')
            break
        ended = (work_dir / 'end_0.pth').exists()
        if kill.number == signal.SIGKILL:
            outcomes.append('killed')
        elif any(done.exit_codes):
            raise NotKept(f'{kill}: ended with {done.exit_codes}')
        elif not ended:
            outcomes.append('stopped')
            saved = done.iterations[-1] + 1
    different = compare(expected, ends(name, work_dir))
    if different:
        raise NotKept(
            f'{len(different)} values differ from those of the uninterrupted '
            f'run: {different[:4]}'
        )
    return outcomes


def compare(expected, found, path: str = '') -> list[str]:
    """Return the paths where two nested values differ in any bit."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if expected.keys() != found.keys():
            return [f'{path}: {sorted(expected.keys() ^ found.keys())}']
        pairs = [(f'{path}.{k}', v, found[k]) for k, v in expected.items()]
    elif isinstance(expected, (list, tuple)) and len(expected) == len(found):
        pairs = [
            (f'{path}[{i}]', *both)
            for i, both in enumerate(zip(expected, found, strict=True))
        ]
    elif isinstance(expected, torch.Tensor):
        return [] if torch.equal(expected, found) else [path]
    else:
        return [] if expected == found else [path]
    return [place for pair in pairs for place in compare(*pair[1:], pair[0])]


def draw_kills(
    rng: random.Random, name: str, iterations: int, number: int
) -> list[Kill]:
    """Return kills at random moments of a run.

    Args:
        rng (random.Random): The source of randomness.
        name (str): A key of :data:`RUNS`.
        iterations (int): The number of iterations of the run.
        number (int): The number of kills.
    """
    return [
        Kill(
            number=rng.choice(
                [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]
                if rng.random() < 0.9
                else [signal.SIGUSR1, signal.SIGINT]
            ),
            # Most kills should come before the end.
            after=rng.randrange(max(1, iterations // number)),
            delay=rng.uniform(0, LONGEST_DELAY),
            rank=rng.randrange(RUNS[name][2]),
            group=rng.random() < 0.5,
        )
        for _ in range(number)
    ]


def run(count: int, seed: int, deadline: float) -> Report:
    """Kill runs many times.

    Args:
        count (int): The number of kills.
        seed (int): The first seed.
        deadline (float): The latest end, in ``time.monotonic`` seconds.

    Returns:
        Report: The outcomes.
    """
    began = time.monotonic()
    report = Report('kills')
    prepare()
    folder = Path(tempfile.mkdtemp(prefix='kills_'))
    expected = {}
    while report.count < count and time.monotonic() < deadline:
        rng = random.Random(seed)
        name = list(RUNS)[seed % len(RUNS)]
        work_dir = folder / 'killed'
        shutil.rmtree(work_dir, ignore_errors=True)
        try:
            if name not in expected:
                expected[name] = uninterrupted(name, folder / f'whole {name}')
            end, iterations = expected[name]
            kills = draw_kills(rng, name, iterations, rng.randint(1, 4))
            for outcome in kill_and_compare(name, work_dir, kills, end):
                report.passed(f'{outcome}, same final state')
        except NotKept as error:
            report.failed(seed, f'{name}: {error}; see {work_dir}')
            folder = Path(tempfile.mkdtemp(prefix='kills_'))
        seed += 1
    shutil.rmtree(folder)
    report.seconds = time.monotonic() - began
    return report
