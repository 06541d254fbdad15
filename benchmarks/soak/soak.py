"""Soak test: run many random cases, and count failures.

    python benchmarks/soak/soak.py configs --count 2000 --minutes 60
    python benchmarks/soak/soak.py all --minutes 30 --seed 7

Each part stops at its count or its time limit. A failure is one line with its
seed; `--seed SEED --count 1` reproduces it. The exit code is 1 if there is
any.
"""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from benchmarks.soak.report import Report  # noqa: E402

#: Part -> default number of cases.
PARTS = {
    'kills': 200,
    'saves': 1000,
    'power': 1000,
    'files': 10_000,
    'configs': 2000,
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('part', choices=(*PARTS, 'all'), help='the part')
    parser.add_argument(
        '--count',
        type=int,
        help='number of cases ('
        + ', '.join(f'{part} {count}' for part, count in PARTS.items())
        + ')',
    )
    parser.add_argument(
        '--minutes', type=float, default=60, help='time limit per part (60)'
    )
    parser.add_argument('--seed', type=int, default=0, help='first seed (0)')
    args = parser.parse_args(argv)
    if args.minutes <= 0 or (args.count is not None and args.count < 1):
        parser.error('--minutes and --count should be above 0')
    return args


def soak(part: str, count: int, minutes: float, seed: int) -> Report:
    """Run one part.

    Args:
        part (str): A key of :data:`PARTS`.
        count (int): The number of cases.
        minutes (float): The time limit.
        seed (int): The first seed.
    """
    deadline = time.monotonic() + 60 * minutes
    return importlib.import_module(f'benchmarks.soak.{part}').run(
        count, seed, deadline
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts of the command line.

    Args:
        argv (Sequence[str], optional): The arguments.

    Returns:
        int: The exit code: 1 if a guarantee does not hold, else 0.
    """
    args = parse_args(argv)
    # Each of several processes would use all cores.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    failures = 0
    for part in PARTS if args.part == 'all' else (args.part,):
        count = PARTS[part] if args.count is None else args.count
        report = soak(part, count, args.minutes, args.seed)
        failures += len(report.failures)
        for line in report.lines():
            print(line, flush=True)
    return int(failures > 0)


if __name__ == '__main__':
    raise SystemExit(main())
