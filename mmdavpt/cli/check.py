"""Check a config, its data and its weights without training.

    mmdavpt check configs/setr_davpt_ade20k.py

is the same as ``mmdavpt train`` with ``--check-only``.
"""

import argparse
import sys
from collections.abc import Sequence

from . import options, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a check."""
    options.add_config_arguments(parser, 'path of the config or folder')
    options.add_folder_arguments(parser)
    options.add_protocol_argument(parser)
    options.add_run_arguments(parser)


def main(argv: Sequence[str] | None = None) -> None:
    """Check a training as the command line says.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.
    """
    argv = sys.argv[1:] if argv is None else argv
    options.parse_arguments(add_arguments, argv)
    train.main([*argv, '--check-only'])
