"""Measure a training step and inference beside VPT-Deep as published.

``python benchmarks/benchmark.py --prompts 20 100``: FLOPs, bytes
kept for backward, peak memory and times of all forms, in turn in one process
and with the same weights. ``--count-only`` runs nothing and takes seconds.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.speed import report  # noqa: E402
from benchmarks.speed.cases import Case  # noqa: E402
from benchmarks.speed.forms import FORMS  # noqa: E402
from benchmarks.speed.measuring import (  # noqa: E402
    PASSES,
    measure,
)
from benchmarks.speed.timing import CLOCKS  # noqa: E402
from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to those of
            this process.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--models',
        nargs='+',
        default=['vit-b'],
        help='vit (to classify) or setr (to segment), a dash, and an '
        'architecture of MMPretrain',
    )
    parser.add_argument('--prompts', nargs='+', type=int, default=[20])
    parser.add_argument('--batch', nargs='+', type=int, default=[8])
    parser.add_argument(
        '--size', nargs='+', type=int, default=[224], help='pixels'
    )
    parser.add_argument('--classes', type=int, default=100)
    parser.add_argument(
        '--precision',
        nargs='+',
        choices=['fp32', 'bf16', 'fp16'],
        default=['fp32'],
    )
    parser.add_argument(
        '--forms',
        nargs='+',
        choices=list(FORMS),
        default=['plain', 'concatenated', 'vpt', 'davpt'],
        help='; '.join(f'{name}: {form.note}' for name, form in FORMS.items()),
    )
    parser.add_argument(
        '--passes', nargs='+', choices=PASSES, default=list(PASSES)
    )
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument(
        '--warmup', type=int, default=2, help='rounds that do not count'
    )
    parser.add_argument(
        '--clock',
        choices=list(CLOCKS),
        default='wall',
        help='seconds that pass, or seconds of the processor, all threads '
        'together, which other work on the machine changes less',
    )
    parser.add_argument(
        '--count-only', action='store_true', help='take no times'
    )
    parser.add_argument(
        '--out', type=Path, help='folder for benchmark.md and benchmark.json'
    )
    return parser.parse_args(argv)


def cases_of(args: argparse.Namespace) -> list[Case]:
    """Return the cases that the command line asks for.

    Args:
        args (argparse.Namespace): The command line.

    Raises:
        UsageError: If the device cannot do one.
    """
    cases = [
        Case(model, prompts, batch, size, args.classes, precision=precision)
        for model, size, prompts, batch, precision in itertools.product(
            args.models, args.size, args.prompts, args.batch, args.precision
        )
    ]
    on_cpu = torch.device(args.device).type == 'cpu'
    for case in cases:
        if min(case.prompts, case.batch, case.size, case.classes) < 1:
            raise UsageError(
                'prompts, batch, size and classes should be at least 1, but '
                f'got {case}'
            )
        if case.precision == 'fp16' and on_cpu:
            raise UsageError(
                'fp16 is for a GPU: a CPU trains in bf16, which has the range '
                'of fp32; set --precision bf16 or --device cuda'
            )
    if args.clock == 'processor' and not on_cpu:
        raise UsageError(
            '--clock processor is for --device cpu: it does not see what '
            f'{args.device} does; leave it out'
        )
    return cases


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the tables, and write them where ``--out`` says."""
    args = parse_args(argv)
    rounds = 0 if args.count_only else args.rounds
    rows = []
    with cli.exit_with_sentence():
        for case in cases_of(args):
            new = measure(
                case,
                args.forms,
                args.device,
                rounds,
                args.warmup,
                args.passes,
                args.clock,
            )
            print(report.to_markdown(new), flush=True)
            rows += new
            if args.out is not None:
                write(args.out, rows, args)


def write(out: Path, rows: list, args: argparse.Namespace) -> None:
    """Write both files; after every case, so that a stop loses one.

    Args:
        out (Path): The folder, made if need be.
        rows (list): All rows so far.
        args (argparse.Namespace): The command line.
    """
    out.mkdir(parents=True, exist_ok=True)
    content = report.to_json(rows, args.device, args.clock)
    about = ', '.join(f'{k} {v}' for k, v in content['machine'].items())
    text = f'{about}\n\n{report.legend(args.forms)}\n\n'
    (out / 'benchmark.md').write_text(
        text + report.to_markdown(rows), encoding='utf-8'
    )
    (out / 'benchmark.json').write_text(
        json.dumps(content, indent=1), encoding='utf-8'
    )


if __name__ == '__main__':
    main()
