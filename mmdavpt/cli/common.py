"""Load a config, apply the command line, check it and build a runner.

A flag such as ``--work-dir`` overrides ``--cfg-options``, which override the
config.
"""

import argparse
import os
import os.path as osp
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmdavpt.checkpoints import install_safe_loading, last_checkpoint
from mmdavpt.checks.config_errors import describe
from mmdavpt.checks.data.before_run import check_run_data
from mmdavpt.checks.names import own_variables, read_config, set_option
from mmdavpt.checks.preflight import preflight
from mmdavpt.engine.hooks.checkpoint_fit_hook import CheckpointFitHook
from mmdavpt.engine.hooks.distinct_names_hook import DistinctNamesHook
from mmdavpt.engine.hooks.missing_labels_hook import MissingLabelsHook
from mmdavpt.engine.runner import check_engine
from mmdavpt.errors import UsageError, warn
from mmdavpt.unwrap import model_of

from . import evaluation, launch, messages
from .protocol import selection_warning, with_protocol
from .summary import SummaryHook

#: For a training and for a test.
OWN_RUNNERS = ('mmdavpt.DAVPTRunner', 'mmdavpt.DAVPTTestRunner')


def load_config(
    path: str, cfg_options: dict | None = None, protocol: str | None = None
) -> Config:
    """Load a config, apply its protocol, then ``--cfg-options``.

    Args:
        path (str): Path of the config file.
        cfg_options (dict, optional): Dotted keys to values; ``protocol`` may
            be one of them. A variable that the file itself sets and reads
            takes effect wherever it is read. Defaults to None.
        protocol (str, optional): The value of ``--protocol``. Defaults to
            None: that of the options, or else of the config.

    Returns:
        Config: The config.

    Raises:
        UsageError: If the file cannot be read
            (:func:`.read_config`), if a key cannot be set or would
            change nothing (:func:`.set_option`), or if the config does not
            have the protocol.
    """
    options = dict(cfg_options or {})
    chosen = options.pop('protocol', None)
    variables = own_variables(path)
    own = {k: options.pop(k) for k in variables & options.keys()}
    chosen = chosen if protocol is None else protocol
    cfg = with_protocol(read_config(path, own), chosen)
    for key, value in options.items():
        if key.split('.')[0] == 'protocols':
            raise UsageError(
                f'--cfg-options {key}: options change the config after its '
                'protocol was applied, so set the key itself'
            )
        set_option(cfg, key, value, variables)
    return cfg


def apply_command_line(cfg: Config, args: argparse.Namespace) -> Config:
    """Apply the flags of ``train.py`` or ``test.py`` to a config.

    Args:
        cfg (Config): The config, changed in place.
        args (argparse.Namespace): The parsed command line. Flags of the other
            command may be absent.

    Returns:
        Config: The same config.

    Raises:
        UsageError: If a flag does not fit the config.
    """
    cfg.launcher = args.launcher or cfg.get('launcher', 'none')
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        if getattr(args, 'protocol', None):
            # Protocols must not resume from each other's checkpoints.
            name += f'_{args.protocol}'
        cfg.work_dir = osp.join('./work_dirs', name)
    cfg.work_dir = osp.expanduser(cfg.work_dir)
    if getattr(args, 'resume', None) is not None:
        set_resume(cfg, args.resume)
    if getattr(args, 'amp', False):
        launch.enable_amp(cfg)
    if getattr(args, 'checkpoint', None) is not None:
        cfg.load_from = args.checkpoint
    if getattr(args, 'out', None) is not None:
        evaluation.write_predictions(cfg, args.out)
    if getattr(args, 'show_dir', None) is not None:
        evaluation.draw_predictions(cfg, args.show_dir)
    if getattr(args, 'tta', False):
        evaluation.use_tta(cfg)
    return cfg


def set_resume(cfg: Config, checkpoint: str) -> None:
    """Resume from a checkpoint, or from the last one in the work folder.

    If the last one is damaged, warnings on stderr say so, and the newest
    intact one is used: see :func:`.last_checkpoint`.

    Args:
        cfg (Config): The config with its ``work_dir``, changed in place.
        checkpoint (str): A path, or 'auto' for the last one. If there is no
            last one, the run starts from the beginning or from the config's
            ``load_from``, and a line says so: a job that may be requeued can
            always pass ``--resume``.

    Raises:
        UsageError: If all checkpoints of the work folder are damaged.
    """
    cfg.resume = True
    if checkpoint != 'auto':
        cfg.load_from = checkpoint
        return
    last, notes = last_checkpoint(cfg.work_dir)
    cfg.resume = last is not None
    if cfg.resume:
        cfg.load_from = last
    else:
        begin = cfg.get('load_from') or 'the beginning'
        none = f'{cfg.work_dir} has no last_checkpoint'
        notes = [f'{none}, so the training starts from {begin}']
    for note in notes:
        warn(f'--resume: {note}')


def check_files(cfg: Config, training: bool) -> None:
    """Check a config and the files that it names before a run.

    What does not prevent a training, such as broken test data, is a warning
    on stderr.

    Args:
        cfg (Config): The config.
        training (bool): Whether the run is a training, not a test.

    Raises:
        UsageError: If the config cannot be run
            (:func:`.preflight`), a file or folder is missing, or data is
            broken.
    """
    notes = preflight(cfg, training)
    if training and cfg.get('load_from'):
        messages.check_checkpoint_exists(cfg.load_from, '`load_from`')
    for note in [*notes, *check_run_data(cfg, training)]:
        warn(note)


def build_runner(cfg: Config, training: bool) -> Runner:
    """Build the runner of a config, with the check of its checkpoint.

    Args:
        cfg (Config): The config.
        training (bool): Whether the run is a training, not a test.

    Returns:
        Runner: The runner.
    """
    kind = OWN_RUNNERS[not training]
    if cfg.get('runner_type', kind) in OWN_RUNNERS:
        cfg.runner_type = kind
    install_safe_loading()  # also for a runner_type of mmengine
    runner = RUNNERS.build(cfg)
    allowed = cfg.get('load_allowed', ())
    runner.register_hook(CheckpointFitHook(training, allowed))
    for hook in () if training else (DistinctNamesHook, MissingLabelsHook):
        runner.register_hook(hook())
    # The hook compares, and knows which weights a training or a test may lack.
    model_of(runner.model).load_allowed = None
    if training and (warning := selection_warning(cfg)):
        runner.logger.warning(warning)
    return runner


@contextmanager
def run_prepared(
    cfg: Config, args: argparse.Namespace, training: bool
) -> Iterator[Runner]:
    """Check a run unless ``--no-check`` is set, build it and let it run.

    A failure before the first iteration becomes a sentence. Its traceback
    goes to the log file of the run, or to ``error.log`` in its work folder if
    there is no log file yet.

    Args:
        cfg (Config): The config with its ``work_dir``, changed in place for
            the launcher.
        args (argparse.Namespace): The arguments of a command.
        training (bool): Whether the run is a training, not a test.

    Yields:
        Runner: The runner, to train or to test.

    Raises:
        UsageError: If the run fails before its first iteration. Later
            failures are raised as they are.
    """
    hook = SummaryHook(args.config)
    try:
        check_engine(cfg)  # before the launcher replaces the wrapper
        if not args.no_check:
            check_files(cfg, training)
        launch.prepare_launcher(cfg, args.local_rank)
        runner = build_runner(cfg, training)
        runner.register_hook(hook)
        yield runner
    except Exception as error:
        expected = isinstance(error, UsageError)
        if hook.started or expected and error.__cause__ is None:
            raise
        log = MMLogger.get_current_instance().log_file
        log, where = log or osp.join(cfg.work_dir, 'error.log'), ''
        with suppress(OSError):  # such as a folder that cannot be written
            os.makedirs(osp.dirname(log), exist_ok=True)
            with open(log, 'a', encoding='utf-8') as file:
                traceback.print_exception(error, file=file)
            where = f'; the traceback is in {log}'
        if expected:
            raise
        raise UsageError(
            'the run failed before its first iteration: '
            f'{describe(error, cfg._cfg_dict)}{where}'
        ) from error
