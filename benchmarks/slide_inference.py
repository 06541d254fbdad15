"""Time sliding-window and multi-scale inference against MMSegmentation's.

``python benchmarks/slide_inference.py --images 512x683 1024x2048`` runs both
in turn in one process with the same weights, and stops if their results
differ.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.speed import report, sliding  # noqa: E402
from benchmarks.speed.cases import Case  # noqa: E402
from benchmarks.speed.timing import (  # noqa: E402
    CLOCKS,
    interleave,
    paired_ratio,
    spread,
)
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402


def parse_size(text: str) -> sliding.Size:
    """Return the height and width of a text such as ``'512x683'``.

    Raises:
        argparse.ArgumentTypeError: If it has another form.
    """
    sides = text.split('x')
    if len(sides) != 2 or not all(s.isdecimal() and int(s) for s in sides):
        raise argparse.ArgumentTypeError(
            f'a size should be like 512x683, but got {text!r}'
        )
    return int(sides[0]), int(sides[1])


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add('--model', default='setr-b')
    add(
        '--images',
        nargs='+',
        type=parse_size,
        default=[(512, 683)],
        metavar='HxW',
        help='height and width in pixels',
    )
    add('--scales', nargs='+', type=float, help='average over these scales')
    add('--flip', action='store_true', help='also mirrored, with --scales')
    add('--crop', type=int, default=512, help='pixels')
    add('--stride', type=int, default=341, help='pixels')
    add('--prompts', type=int, default=20)
    add('--classes', type=int, default=150)
    add('--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add('--rounds', type=int, default=5)
    add('--clock', choices=list(CLOCKS), default='wall')
    add('--out', type=Path, metavar='FILE.json', help='file for the figures')
    args = parser.parse_args(argv)
    if args.flip and not args.scales:
        parser.error('--flip needs --scales')
    return args


def measure(args: argparse.Namespace, size: sliding.Size) -> dict:
    """Time one image in both implementations.

    The check that both agree is the warm-up.

    Args:
        args (argparse.Namespace): The command line.
        size (tuple[int, int]): Height and width of the image.

    Returns:
        dict: ``size``, ``windows``, and ``seconds`` of each round by 'mmseg'
        and 'mmdavpt'.
    """
    case = Case(
        args.model,
        args.prompts,
        size=args.crop,
        classes=args.classes,
        precision=args.precision,
    )
    if args.scales:
        runs = sliding.multi_scale_runs(
            case, args.stride, size, args.scales, args.flip, args.device
        )
    else:
        runs = sliding.slide_runs(case, args.stride, size, args.device)
    sliding.check_equal(runs)
    windows = (1 + args.flip) * sum(
        sliding.count_windows(
            (round(size[0] * scale), round(size[1] * scale)),
            args.crop,
            args.stride,
        )
        for scale in args.scales or [1]
    )
    seconds = interleave(runs, args.rounds, 0, args.device, args.clock)
    return dict(size=size, windows=windows, seconds=seconds)


def table_row(row: dict) -> str:
    """Return the median and the quartiles of an image's times."""
    cells = ['{} x {}'.format(*row['size']), str(row['windows'])]
    times = row['seconds']
    for name in ('mmseg', 'mmdavpt'):
        cells.append('{:.3g} [{:.3g}, {:.3g}]'.format(*spread(times[name])))
    ratio = paired_ratio(times['mmdavpt'], times['mmseg'])
    cells.append('{:.3f} [{:.3f}, {:.3f}]'.format(*ratio))
    return '| ' + ' | '.join(cells) + ' |'


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    args = parse_args(argv)
    print('| image | windows | mmseg, s | mmdavpt, s | ratio |')
    print('|---|---|---|---|---|')
    rows = []
    with exit_with_sentence():
        for size in args.images:
            rows.append(measure(args, size))
            print(table_row(rows[-1]), flush=True)
    if args.out is not None:
        machine = dict(report.machine(args.device), clock=args.clock)
        content = dict(machine=machine, rows=rows)
        args.out.write_text(json.dumps(content, indent=1) + '\n')


if __name__ == '__main__':
    main()
