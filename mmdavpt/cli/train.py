"""Train a model from a config, or from a folder of images.

    mmdavpt train configs/setr_davpt_ade20k.py
    mmdavpt train birds        # birds/CLASS/IMAGE, or birds/{train,val}/...

``python tools/train.py`` is the same command. A folder becomes the config
work_dirs/FOLDER/FOLDER.py, with its settings at the top, which is trained.
"""

import argparse
import os.path as osp
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from . import options

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.hooks import Hook
    from mmengine.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a training."""
    options.add_config_arguments(parser, 'path of the config or folder')
    options.add_folder_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='resume from this checkpoint; without CKPT, from the last one '
        'in the work folder, if there is one',
    )
    text = 'mixed precision: float16 on a GPU, bfloat16 on a CPU'
    parser.add_argument('--amp', action='store_true', help=text)
    options.add_shared(parser, '--protocol')
    options.add_run_arguments(parser)
    check = parser.add_mutually_exclusive_group()
    check.add_argument(
        '--check-only',
        action='store_true',
        help='check config, data and weights, rehearse one step, one '
        'validation batch and one checkpoint, and stop before the training',
    )
    options.add_shared(check, '--no-check')


def run(args: argparse.Namespace) -> None:
    """Train a model.

    Args:
        args (argparse.Namespace): The arguments.
    """
    train(load(args), args)


def load(args: argparse.Namespace) -> 'Config':
    """Load the config of a training, or write that of a folder.

    Args:
        args (argparse.Namespace): The arguments, with ``command``, as typed.

    Raises:
        UsageError: If the config, the folder or an option do not fit.
    """
    from .common import load_config

    if osp.isdir(args.config):
        from .folder_config import write_config

        args.config = write_config(args, args.command)
    else:
        options.check_folder_arguments(args)
    return load_config(args.config, args.cfg_options, args.protocol)


def train(
    cfg: 'Config', args: argparse.Namespace, hooks: Sequence['Hook'] = ()
) -> 'Runner | None':
    """Train a loaded config.

    Args:
        cfg (Config): The config, changed in place.
        args (argparse.Namespace): The other arguments of
            :func:`add_arguments`.
        hooks (Sequence[Hook]): Further hooks of the runner. Defaults to none.

    Returns:
        Runner | None: The runner after training; None if a signal or
        ``--check-only`` stopped it.

    Raises:
        UsageError: If the config cannot be trained.
    """
    from mmdavpt.checks.rehearsal import RehearsalHook, RehearsalPassed
    from mmdavpt.engine.resuming.stopping import Stopped

    from . import common

    common.apply_command_line(cfg, args)
    with (
        suppress(Stopped, RehearsalPassed),
        common.run_prepared(cfg, args, training=True) as runner,
    ):
        if not args.no_check:
            runner.register_hook(RehearsalHook(stop=args.check_only))
        for hook in hooks:
            runner.register_hook(hook)
        runner.train()
        return runner
    return None
