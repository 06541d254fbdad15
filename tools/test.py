"""Test a model: ``python tools/test.py CONFIG CHECKPOINT [--tta]``."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import dump
from torch.distributed.elastic.multiprocessing.errors import record

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmdavpt.cli import common as cli  # noqa: E402


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to those of
            this process.
    """
    parser = argparse.ArgumentParser(
        description='Test a model. Flags beat --cfg-options, which beat the '
        'config.'
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        '--tta',
        action='store_true',
        help="average over the augmentations of the config's tta_pipeline: "
        'the multi-scale test of segmentation',
    )
    parser.add_argument(
        '--out',
        help='segmentation: a folder for label maps; classification: a .pkl '
        'file for predictions or a .json file for metrics',
    )
    parser.add_argument(
        '--show', action='store_true', help='show each prediction'
    )
    parser.add_argument('--show-dir', help='folder for pictures')
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds that --show shows a picture',
    )
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Test as the command line says, and print the result as a last line.

    Args:
        argv (Sequence[str], optional): The arguments.
    """
    args = parse_args(argv)
    with cli.exit_with_sentence():
        cfg = cli.load_config(args.config, args.cfg_options)
        cli.apply_command_line(cfg, args)
        cli.check_files(cfg, training=False)
        cli.prepare_launcher(cfg, args.local_rank)
        metrics = cli.build_runner(cfg, training=False).test()
    metrics_file = cli.metrics_file(cfg, args.out)
    if is_main_process():
        if metrics_file is not None:
            dump(metrics, metrics_file)
        print(cli.summary_line(metrics, args.tta), flush=True)
    cli.leave_process_group()


if __name__ == '__main__':
    # For torchrun, so that it knows which process failed first, and how.
    record(main)()
