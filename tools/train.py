"""Train a model: ``python tools/train.py CONFIG``."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

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
        description='Train a model. Flags beat --cfg-options, which beat the '
        'config.'
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='go on from this checkpoint; without one, from the last in the '
        'work folder, if there is one',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU',
    )
    parser.add_argument(
        '--protocol',
        metavar='NAME',
        help='which images train and which choose the epoch, if the config '
        'has `protocols`: tune, retrain or released (configs/README.md)',
    )
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says.

    Args:
        argv (Sequence[str], optional): The arguments.
    """
    args = parse_args(argv)
    # All processes stop together.
    with cli.exit_with_sentence(), suppress(cli.Stopped):
        cfg = cli.load_config(args.config, args.cfg_options, args.protocol)
        cli.apply_command_line(cfg, args)
        with cli.exit_cleanly_on_signal(alone=cfg.launcher == 'none'):
            cli.check_files(cfg, training=True)
            cli.prepare_launcher(cfg, args.local_rank)
            cli.build_runner(cfg, training=True).train()
    cli.leave_process_group()


if __name__ == '__main__':
    # For torchrun, so that it knows which process failed first, and how.
    record(main)()
