"""Time inference by windows, and over scales, beside MMSegmentation's.

``python benchmarks/slide_benchmark.py --images 512x683 1024x2048``
runs both in turn in one process, with the same weights, and stops if their
results differ.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.speed import dense  # noqa: E402
from benchmarks.speed.cases import Case  # noqa: E402
from benchmarks.speed.timing import (  # noqa: E402
    CLOCKS,
    interleave,
    paired_ratio,
    spread,
)
from mmdavpt.cli import common as cli  # noqa: E402


def parse_size(text: str) -> dense.Size:
    """Return the height and width of ``'512x683'``.

    Args:
        text (str): Pixels, an x, pixels.

    Raises:
        argparse.ArgumentTypeError: If it is something else.
    """
    sides = text.split('x')
    if len(sides) != 2 or not all(
        side.isdecimal() and int(side) for side in sides
    ):
        raise argparse.ArgumentTypeError(
            f'a size should be like 512x683, but got {text!r}'
        )
    return int(sides[0]), int(sides[1])


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
    parser.add_argument('--model', default='setr-b')
    parser.add_argument(
        '--images',
        nargs='+',
        type=parse_size,
        default=[(512, 683)],
        metavar='HxW',
        help='height and width in pixels',
    )
    parser.add_argument(
        '--scales',
        nargs='+',
        type=float,
        help='test at these scales, which are averaged, instead of at one',
    )
    parser.add_argument(
        '--flip', action='store_true', help='and mirrored, with --scales'
    )
    parser.add_argument('--crop', type=int, default=512, help='pixels')
    parser.add_argument('--stride', type=int, default=341, help='pixels')
    parser.add_argument('--prompts', type=int, default=20)
    parser.add_argument('--classes', type=int, default=150)
    parser.add_argument(
        '--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32'
    )
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--clock', choices=list(CLOCKS), default='wall')
    args = parser.parse_args(argv)
    if args.flip and not args.scales:
        parser.error('--flip needs --scales')
    return args


def row_of(args: argparse.Namespace, size: dense.Size) -> list[str]:
    """Time one image by both, and return the cells of its row.

    The check that both agree is the pass that warms up.

    Args:
        args (argparse.Namespace): The command line.
        size (tuple[int, int]): Height and width of the image.
    """
    case = Case(
        args.model,
        args.prompts,
        size=args.crop,
        classes=args.classes,
        precision=args.precision,
    )
    if args.scales:
        runs = dense.multi_scale_runs(
            case, args.stride, size, args.scales, args.flip, args.device
        )
    else:
        runs = dense.slide_runs(case, args.stride, size, args.device)
    dense.check_equal(runs)
    windows = (1 + args.flip) * sum(
        dense.count_windows(
            (round(size[0] * scale), round(size[1] * scale)),
            args.crop,
            args.stride,
        )
        for scale in args.scales or [1]
    )
    seconds = interleave(runs, args.rounds, 0, args.device, args.clock)
    cells = [f'{size[0]} x {size[1]}', str(windows)]
    for name in ('host', 'here'):
        middle, low, high = spread(seconds[name])
        cells.append(f'{middle:.3g} [{low:.3g}, {high:.3g}]')
    ratio, low, high = paired_ratio(seconds['here'], seconds['host'])
    return [*cells, f'{ratio:.3f} [{low:.3f}, {high:.3f}]']


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print a table: median and quartiles of the seconds."""
    args = parse_args(argv)
    print('| image | windows | host, s | here, s | here / host |')
    print('|---|---|---|---|---|')
    with cli.exit_with_sentence():
        for size in args.images:
            print('| ' + ' | '.join(row_of(args, size)) + ' |', flush=True)


if __name__ == '__main__':
    main()
