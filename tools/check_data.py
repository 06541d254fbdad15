"""Decode every image and label that a config reads, and report defects.

    python tools/check_data.py configs/setr_davpt_ade20k.py

Each defect is one line: the split, the file and what is wrong with it. The
exit code is 1 if there is any. Images are decoded as in training.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import DictAction  # noqa: E402

from mmdavpt.checks.data.full_check import check_all  # noqa: E402
from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402

SPLITS = ('train', 'val', 'test')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to those of
            this process.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--splits',
        nargs='+',
        choices=SPLITS,
        default=SPLITS,
        help='which of its datasets (all that it has)',
    )
    parser.add_argument(
        '--workers', type=int, default=2, help='processes that decode (2)'
    )
    parser.add_argument(
        '--protocol',
        metavar='NAME',
        help='which protocol of the config, where it has `protocols`',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='values that replace those of the config, as KEY=VALUE with a '
        'dotted key, such as train_dataloader.dataset.data_root=data/ade',
    )
    args = parser.parse_args(argv)
    if args.workers < 0:
        parser.error(f'--workers should be 0 or more, but got {args.workers}')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Check the data that the command line names.

    Args:
        argv (Sequence[str], optional): The arguments.

    Returns:
        int: The exit code: 1 if there are defects, else 0.
    """
    args = parse_args(argv)
    # What libraries print meanwhile is no part of the report.
    with cli.exit_with_sentence(), redirect_stdout(sys.stderr):
        cfg = cli.load_config(args.config, args.cfg_options, args.protocol)
        reports = check_all(cfg, args.splits, args.workers)
        if not reports:
            raise UsageError(
                f'the config has no dataset for {" or ".join(args.splits)}; '
                'choose other splits'
            )
    for report in reports:
        for line in report.lines():
            print(line)
    for report in reports:
        print(report.summary())
    return int(any(report.number for report in reports))


if __name__ == '__main__':
    raise SystemExit(main())
