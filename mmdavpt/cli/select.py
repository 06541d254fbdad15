"""Select parameters by their gradients, for the tuners SPT and E2VPT.

    mmdavpt select CONFIG selection.pth
    mmdavpt select CONFIG pruned.pth --checkpoint work_dirs/run/epoch_100.pth

``python tools/select_parameters.py`` is the same command. It runs the loss of
the training on training images, on one device, and writes the selection of
the first tuner that waits for one.
"""

import argparse
import os

from mmdavpt.errors import UsageError

from . import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a selection."""
    options.add_config_arguments(parser)
    add = parser.add_argument
    add('file', help='file to write, ending in .pth')
    add('--checkpoint', help='checkpoint of the training, which E2VPT needs')
    add(
        '--batches',
        type=options.positive,
        help='number of training batches; by default as published: 8 for '
        'SPT, the whole training set for E2VPT',
    )
    options.add_shared(parser, '--protocol')
    options.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Make a selection.

    Args:
        args (argparse.Namespace): The arguments.
    """
    from mmdavpt.checkpoints import save_checkpoint
    from mmdavpt.engine.gradient_pass import select_parameters

    from . import common

    folder = os.path.join(os.path.dirname(os.path.abspath(args.file)), '')
    if not os.access(folder, os.W_OK):
        raise UsageError(f'{args.file} cannot be written: check {folder}')
    cfg = common.load_config(args.config, args.cfg_options, args.protocol)
    common.apply_command_line(cfg, args)
    cfg.launcher, args.no_check = 'none', True
    cfg.work_dir += '/select'  # the config of the training stays as it is
    with common.run_prepared(cfg, args, training=True) as runner:
        name, state = select_parameters(runner, args.batches)
    state = {f'backbone.tuners.{name}.{k}': v for k, v in state.items()}
    save_checkpoint(dict(state_dict=state), args.file)
    print(f"{args.file} is written; set selection='{args.file}' of {name}")
