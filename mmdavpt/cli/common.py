"""What the command line tools do with a config, as importable functions.

Of two values for one thing, a specific flag (``--work-dir``) beats
``--cfg-options``, which beats the config.
"""

import argparse
import copy
import gc
import os.path as osp
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmdavpt.checkpoints import install_safe_loading, last_checkpoint
from mmdavpt.checks.checkpoint_fit import CheckpointFitHook, unwrap
from mmdavpt.checks.config.config_check import check_config
from mmdavpt.checks.config.config_file import read_config
from mmdavpt.checks.config.config_options import check_option
from mmdavpt.checks.data.data_check import check_run_data
from mmdavpt.checks.preflight import (
    check_checkpoint_exists,
)
from mmdavpt.engine.resuming.stopping import Stopped, exit_cleanly_on_signal
from mmdavpt.errors import UsageError

from .evaluation_flags import (
    draw_predictions,
    metrics_file,
    use_tta,
    write_predictions,
)
from .launch import enable_amp, prepare_launcher
from .protocol import selection_warning, with_protocol

__all__ = [
    'Stopped',
    'add_common_arguments',
    'apply_command_line',
    'build_runner',
    'check_files',
    'draw_predictions',
    'enable_amp',
    'exit_cleanly_on_signal',
    'exit_with_sentence',
    'load_config',
    'metrics_file',
    'prepare_launcher',
    'set_resume',
    'summary_line',
    'use_tta',
    'write_predictions',
]

#: Of a training, and of a test.
OWN_RUNNERS = ('mmdavpt.DAVPTRunner', 'mmdavpt.DAVPTTestRunner')
LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share.

    Args:
        parser (argparse.ArgumentParser): The parser to add to.
    """
    parser.add_argument(
        '--work-dir',
        help='folder of logs and checkpoints; by default ./work_dirs/CONFIG, '
        'or CONFIG_PROTOCOL with --protocol',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='values that replace those of the config, as KEY=VALUE with a '
        'dotted key, such as model.backbone.num_prompts=10; a list is '
        '"[a,b]" or a,b, quoted and without spaces',
    )
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        help='what started this process; dist_*.sh and slurm_*.sh set it',
    )
    # torch.distributed.launch passes the form with the hyphen.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


@contextmanager
def exit_with_sentence(*kinds: type[Exception]) -> Iterator[None]:
    """Turn a :class:`UsageError` into one line on stderr and exit code 2.

    Args:
        *kinds (type[Exception]): Further errors to treat so, for small tools
            whose errors all come from what was typed.
    """
    try:
        yield
    except (UsageError, *kinds) as error:
        program = osp.basename(sys.argv[0])
        # A worker of a data loader puts its traceback before the sentence.
        sentence = str(error).rpartition(f'{UsageError.__module__}.')[2]
        sentence = sentence.removeprefix(f'{UsageError.__name__}: ')
        sys.stderr.write(f'{program}: error: {sentence.strip()}\n')
        raise SystemExit(2) from None


def load_config(
    path: str, cfg_options: dict | None = None, protocol: str | None = None
) -> Config:
    """Load a config, apply its protocol, set what ``--cfg-options`` says.

    Args:
        path (str): Path of the config file.
        cfg_options (dict, optional): Dotted keys to values; ``protocol`` is
            one of them. Defaults to None.
        protocol (str, optional): What ``--protocol`` says. Defaults to None:
            what the options say, or else the config.

    Returns:
        Config: The config.

    Raises:
        UsageError: If the file cannot be read
            (:func:`.read_config`), if a key cannot be set or would
            change nothing (:func:`.check_option`), or if the
            config does not have the protocol.
    """
    options = dict(cfg_options or {})
    chosen = options.pop('protocol', None)
    cfg = with_protocol(
        read_config(path), chosen if protocol is None else protocol
    )
    for key, value in options.items():
        if key.split('.')[0] == 'protocols':
            raise UsageError(
                f'--cfg-options {key}: options act on the config after its '
                'protocol was applied, so set the key itself, such as '
                'val_dataloader.batch_size=16 with --protocol tune'
            )
        check_option(cfg, key)
        cfg.merge_from_dict({key: copy.deepcopy(value)})
    return cfg


def apply_command_line(cfg: Config, args: argparse.Namespace) -> Config:
    """Set what the flags of ``train.py`` or ``test.py`` say.

    Args:
        cfg (Config): The config, changed in place.
        args (argparse.Namespace): The parsed command line. A flag that only
            one of the tools has may be absent.

    Returns:
        Config: The same config.

    Raises:
        UsageError: If a flag does not fit the config, or a file is missing.
    """
    cfg.launcher = args.launcher or cfg.get('launcher', 'none')
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        if getattr(args, 'protocol', None):
            # Their checkpoints must not be taken for one another's.
            name += f'_{args.protocol}'
        cfg.work_dir = osp.join('./work_dirs', name)
    if getattr(args, 'resume', None) is not None:
        set_resume(cfg, args.resume)
    if getattr(args, 'amp', False):
        enable_amp(cfg)
    if getattr(args, 'checkpoint', None) is not None:
        check_checkpoint_exists(args.checkpoint, 'the checkpoint')
        cfg.load_from = args.checkpoint
    if getattr(args, 'out', None) is not None:
        write_predictions(cfg, args.out)
    if getattr(args, 'show', False) or getattr(args, 'show_dir', None):
        draw_predictions(cfg, args.show, args.show_dir, args.wait_time)
    if getattr(args, 'tta', False):
        use_tta(cfg)
    return cfg


def set_resume(cfg: Config, checkpoint: str) -> None:
    """Go on from a checkpoint, or from the last one in the work folder.

    If the last one is damaged, as by a power cut, lines on stderr say so, and
    the newest that is whole counts: :func:`.last_checkpoint`.

    Args:
        cfg (Config): The config with its ``work_dir``, changed in place.
        checkpoint (str): A path, or 'auto' for the last one. Without a last
            one the training starts from the beginning, or from the config's
            ``load_from``, and a line says so, so that a job that is requeued
            can always pass ``--resume``.

    Raises:
        UsageError: If the checkpoint is missing, or if the work folder has
            some, but none that is whole.
    """
    cfg.resume = True
    if checkpoint != 'auto':
        cfg.load_from = checkpoint
        check_checkpoint_exists(checkpoint, 'the checkpoint to resume from')
        return
    last, notes = last_checkpoint(cfg.work_dir)
    for note in notes:
        sys.stderr.write(f'warning: --resume: {note}\n')
    if last is not None:
        cfg.load_from = last
        return
    cfg.resume = False
    begin = cfg.get('load_from') or 'the beginning'
    sys.stderr.write(
        f'--resume: {cfg.work_dir} has no last_checkpoint, '
        f'so the training starts from {begin}\n'
    )


def check_files(cfg: Config, training: bool) -> None:
    """Raise a sentence if a run cannot go as its config says.

    The whole config is checked first, then the files that it will read.
    Before a training, lines on stderr name what it can begin in spite of, such
    as what is wrong with test data.

    Args:
        cfg (Config): The config.
        training (bool): Whether it is to train, and not to test.

    Raises:
        UsageError: If the config cannot be run
            (:func:`.check_config`), a file or folder is missing,
            or data are broken.
    """
    notes = check_config(cfg, training)
    if training and cfg.get('load_from'):
        check_checkpoint_exists(cfg.load_from, '`load_from`')
    for note in [*notes, *check_run_data(cfg, training)]:
        sys.stderr.write(f'warning: {note}\n')


def leave_process_group() -> None:
    """End the communication between processes, if there was any.

    The runner and its wrapped model refer to each other and hold on to the
    group; a group that lives until the interpreter shuts down can abort it.
    """
    gc.collect()
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def build_runner(cfg: Config, training: bool) -> Runner:
    """Build the runner of a config, with the check of checkpoints.

    Args:
        cfg (Config): The config.
        training (bool): Whether it is to train, and not to test.

    Returns:
        Runner: The runner.
    """
    kind = OWN_RUNNERS[not training]
    if cfg.get('runner_type', kind) in OWN_RUNNERS:
        cfg.runner_type = kind
    install_safe_loading()  # also for a runner_type of mmengine
    runner = RUNNERS.build(cfg)
    runner.register_hook(
        CheckpointFitHook(training, cfg.get('load_allowed', ()))
    )
    # The hook compares, and knows what a training or a test may lack.
    unwrap(runner.model).load_allowed = None
    warning = selection_warning(cfg) if training else None
    if warning is not None:
        runner.logger.warning(warning)
    return runner


def summary_line(metrics: dict, tta: bool) -> str:
    """Return the result of a test as one line.

    Args:
        metrics (dict): What ``Runner.test`` returned.
        tta (bool): Whether the test was augmented: it makes mIoU-MS out of
            mIoU-SS.

    Returns:
        str: Such as 'mIoU-SS 45.10 | mAcc 57.20 | aAcc 80.10', in percent.
        What is no single number, such as a confusion matrix, is left out.
    """
    names = {'mIoU': f'mIoU-{"MS" if tta else "SS"}'}
    parts = []
    for key, value in sorted(metrics.items(), key=_main_first):
        if np.size(value) != 1 or value is None:
            continue
        name = key.split('/')[-1]
        if name.startswith('top') and name[3:].isdigit():
            name = f'top-{name[3:]}' + (' (TTA)' if tta else '')
        parts.append(f'{names.get(name, name)} {float(value):.2f}')
    return ' | '.join(parts)


def _main_first(item: Sequence) -> tuple:
    order = ('mIoU', 'top1', 'top5', 'mAcc', 'aAcc')
    name = item[0].split('/')[-1]
    return order.index(name) if name in order else len(order), name
