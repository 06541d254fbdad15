"""Count and time a training step and inference, compared with VPT-Deep.

``python benchmarks/training_step.py --prompts 20 100`` measures FLOPs, bytes
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
from benchmarks.speed.measuring import PASSES, measure  # noqa: E402
from benchmarks.speed.timing import CLOCKS, PRECISIONS  # noqa: E402
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        '--models',
        nargs='+',
        default=['vit-b'],
        help='vit (classifier) or setr (segmentor), a dash, and an '
        'architecture of MMPretrain',
    )
    add('--prompts', nargs='+', type=int, default=[20])
    add('--batch', nargs='+', type=int, default=[8])
    add('--size', nargs='+', type=int, default=[224], help='pixels')
    add('--classes', type=int, default=100)
    add('--precision', nargs='+', choices=list(PRECISIONS), default=['fp32'])
    add(
        '--forms',
        nargs='+',
        choices=list(FORMS),
        default=['plain', 'concatenated', 'vpt', 'davpt'],
        help='; '.join(f'{name}: {form.note}' for name, form in FORMS.items()),
    )
    add('--passes', nargs='+', choices=PASSES, default=list(PASSES))
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add('--rounds', type=int, default=15)
    add('--warmup', type=int, default=2, help='rounds that do not count')
    add(
        '--clock',
        choices=list(CLOCKS),
        default='wall',
        help='wall time, or processor time of all threads, which other work '
        'on the machine changes less',
    )
    add('--count-only', action='store_true', help='take no times')
    add('--out', type=Path, metavar='FILE.json', help='file for the figures')
    return parser.parse_args(argv)


def cases_of(args: argparse.Namespace) -> list[Case]:
    """Return the cases of a command line.

    Args:
        args (argparse.Namespace): The command line.

    Raises:
        UsageError: If the device cannot run one.
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
                'fp16 needs a GPU; use --precision bf16 or --device cuda'
            )
    if args.clock == 'processor' and not on_cpu:
        raise UsageError(
            '--clock processor needs --device cpu: it does not measure '
            f'{args.device}'
        )
    return cases


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write the figures to ``--out``."""
    args = parse_args(argv)
    rounds = 0 if args.count_only else args.rounds
    rows = []
    with exit_with_sentence():
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
            if args.out is not None:  # after each case, in case of a stop
                content = report.to_json(rows, args.device, args.clock)
                args.out.write_text(json.dumps(content, indent=1) + '\n')


if __name__ == '__main__':
    main()
