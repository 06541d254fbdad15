"""What the command line tools do with a config, as importable functions.

Of two values for one thing, a specific flag (``--work-dir``) beats
``--cfg-options``, which beats the config.
"""
import argparse
import copy
import os
import os.path as osp
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .checkpoint_fit import CheckpointFitHook
from .config_keys import check_option, walk
from .errors import UsageError
from .preflight import (
    check_checkpoint_exists,
    check_config_exists,
    check_data,
    check_pretrained,
    datasets_of,
    is_local,
)

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
TORCHRUN_VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share.

    Args:
        parser (argparse.ArgumentParser): The parser to add to.
    """
    parser.add_argument(
        '--work-dir',
        help='folder of logs and checkpoints; by default ./work_dirs/CONFIG')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='values that replace those of the config, as KEY=VALUE with a '
        'dotted key, such as model.backbone.num_prompts=10; a list is '
        '"[a,b]" or a,b, quoted and without spaces')
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        help='what started this process; dist_*.sh and slurm_*.sh set it')
    # torch.distributed.launch passes the form with the hyphen.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


@contextmanager
def exit_with_sentence() -> Iterator[None]:
    """Turn a :class:`UsageError` into one line on stderr and exit code 2."""
    try:
        yield
    except UsageError as error:
        program = osp.basename(sys.argv[0])
        sys.stderr.write(f'{program}: error: {error}\n')
        raise SystemExit(2) from None


def load_config(path: str, cfg_options: dict | None = None) -> Config:
    """Load a config and set what ``--cfg-options`` says.

    Args:
        path (str): Path of the config file.
        cfg_options (dict, optional): Dotted keys to values.
            Defaults to None.

    Returns:
        Config: The config.

    Raises:
        UsageError: If the file is missing, or if a key cannot be set or would
            change nothing (:func:`.config_keys.check_option`).
    """
    check_config_exists(path)
    cfg = Config.fromfile(path)
    for key, value in (cfg_options or {}).items():
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

    A work folder that was moved keeps an absolute path of the old place in
    its ``last_checkpoint``; then the file of the same name beside it counts.

    Args:
        cfg (Config): The config with its ``work_dir``, changed in place.
        checkpoint (str): A path, or 'auto' for the last one. Without a last
            one the training starts from the beginning, and a line says so, so
            that a job that is requeued can always pass ``--resume``.

    Raises:
        UsageError: If the checkpoint is missing.
    """
    cfg.resume = True
    cfg.load_from = None if checkpoint == 'auto' else checkpoint
    if checkpoint != 'auto':
        check_checkpoint_exists(checkpoint, 'the checkpoint to resume from')
        return
    pointer = osp.join(cfg.work_dir, 'last_checkpoint')
    if not osp.isfile(pointer):
        cfg.resume = False
        sys.stderr.write(f'--resume: {cfg.work_dir} has no last_checkpoint, '
                         'so the training starts from the beginning\n')
        return
    with open(pointer, encoding='utf-8') as file:
        last = file.read().strip()
    beside = osp.join(cfg.work_dir, osp.basename(last))
    if is_local(last) and not osp.isfile(last) and osp.isfile(beside):
        last = beside
    check_checkpoint_exists(last, f'the checkpoint that {pointer} names,')
    cfg.load_from = last


def has_accelerator() -> bool:
    """Return whether this machine has a device for distributed training."""
    return get_device() not in ('cpu', 'mps')


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 on a GPU, bfloat16 on a CPU.

    Args:
        cfg (Config): The config, changed in place.

    Raises:
        UsageError: If the config has an optimizer wrapper of another kind.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    mixed = ('AmpOptimWrapper'
             if has_accelerator() else 'mmdavpt.CpuAmpOptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper',
                    'mmdavpt.CpuAmpOptimWrapper'):
        raise UsageError(
            '--amp replaces the `OptimWrapper` of a config, but '
            f'`optim_wrapper.type` is {kind!r}; leave --amp out, or change it')
    wrapper.type = mixed
    if has_accelerator():
        wrapper.setdefault('loss_scale', 'dynamic')
    else:
        for name in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(name, None)


def write_predictions(cfg: Config, out: str) -> None:
    """Write predictions of a test to a file or folder.

    Args:
        cfg (Config): The config, changed in place.
        out (str): For segmentation, a folder of PNG label maps. For
            classification, a .pkl file of predictions; a .json file gets the
            metrics, from :func:`metrics_file`.

    Raises:
        UsageError: If ``out`` does not fit the task.
    """
    evaluators = cfg.test_evaluator
    if not isinstance(evaluators, (list, tuple)):
        evaluators = [evaluators]
    suffix = osp.splitext(out)[1]
    if is_segmentation(cfg):
        writers = [e for e in evaluators if e.type == 'IoUMetric']
        if not writers or suffix in ('.pkl', '.pickle', '.json'):
            raise UsageError(
                '--out of a segmentation config is a folder, which `IoUMetric`'
                f' of `test_evaluator` fills with label maps; but got {out} '
                f'and evaluators {[e.type for e in evaluators]}')
        writers[0].output_dir = out
        # The metric makes it on rank 0 only, and other ranks do not wait.
        os.makedirs(out, exist_ok=True)
    elif suffix in ('.pkl', '.pickle'):
        dump = ConfigDict(type='DumpResults', out_file_path=out)
        cfg.test_evaluator = [*evaluators, dump]
    elif suffix != '.json':
        raise UsageError(
            '--out of a classification config is a file that ends in .pkl '
            f'(predictions) or .json (metrics), but got {out}')


def metrics_file(cfg: Config, out: str | None) -> str | None:
    """Return where the metrics are to be written, or None.

    Args:
        cfg (Config): The config.
        out (str, optional): The value of ``--out``.
    """
    if out is None or is_segmentation(cfg) or not out.endswith('.json'):
        return None
    return out


def draw_predictions(cfg: Config, show: bool, show_dir: str | None,
                     wait_time: float) -> None:
    """Draw predictions of a test, in a window or into a folder.

    Args:
        cfg (Config): The config, changed in place.
        show (bool): Whether to open a window for each image.
        show_dir (str, optional): The folder of the pictures.
        wait_time (float): Seconds that a window stays.

    Raises:
        UsageError: If the config has no visualisation hook.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        kind = ('SegVisualizationHook'
                if is_segmentation(cfg) else 'VisualizationHook')
        raise UsageError(
            '--show and --show-dir need the config to have '
            f'default_hooks.visualization=dict(type={kind!r}), but it has '
            'none')
    if is_segmentation(cfg):
        hook.update(draw=True, show=show, wait_time=wait_time)
        if show_dir is not None:
            cfg.setdefault('visualizer', ConfigDict(type='SegLocalVisualizer'))
            cfg.visualizer.setdefault('vis_backends',
                                      [ConfigDict(type='LocalVisBackend')])
            cfg.visualizer.save_dir = show_dir
    else:
        hook.update(
            enable=True,
            show=show,
            out_dir=show_dir,
            wait_time=wait_time,
            interval=1)


def is_segmentation(cfg: Config) -> bool:
    """Return whether a config runs in MMSegmentation, not MMPretrain."""
    return cfg.get('default_scope') == 'mmseg'


def use_tta(cfg: Config) -> None:
    """Test with augmentation: several scales and flips, averaged.

    Args:
        cfg (Config): The config, changed in place.

    Raises:
        UsageError: If the config does not say which augmentations.
    """
    if 'tta_pipeline' not in cfg:
        raise UsageError(
            '--tta needs a `tta_pipeline` in the config, which lists the '
            'augmentations of `TestTimeAug`; it has none')
    if 'tta_model' not in cfg and is_segmentation(cfg):
        raise UsageError(
            "--tta needs tta_model=dict(type='SegTTAModel') in the config, "
            'which averages the predictions; it has none')
    tta_model = copy.deepcopy(cfg.get('tta_model')) or ConfigDict()
    tta_model.setdefault('type', 'mmpretrain.AverageClsScoreTTA')
    tta_model.module = cfg.model
    cfg.model = tta_model
    loader = cfg.test_dataloader
    for _, dataset in datasets_of(loader.dataset, 'test_dataloader.dataset'):
        dataset.pipeline = copy.deepcopy(cfg.tta_pipeline)


def check_files(cfg: Config, training: bool) -> None:
    """Raise a sentence if a file is missing that a run will read.

    Args:
        cfg (Config): The config.
        training (bool): Whether it is to train, and not to test.

    Raises:
        UsageError: If a file or folder is missing.
    """
    if training:
        check_pretrained(cfg.model)
        if cfg.get('load_from'):
            check_checkpoint_exists(cfg.load_from, '`load_from`')
    check_data(cfg, ('train', 'val') if training else ('test', ))


def prepare_launcher(cfg: Config, local_rank: int = 0) -> None:
    """Make a distributed run start, also where there is no GPU.

    mmengine's own start selects a CUDA device before anything else. Without
    one, the process group is made here with gloo, the distributed wrapper
    gets no device, and SyncBN becomes BN, since torch's runs on GPUs only.

    Args:
        cfg (Config): The config with its ``launcher``, changed in place.
        local_rank (int): Rank on this machine, if the launcher did not put
            it into the environment. Defaults to 0.

    Raises:
        UsageError: If the launcher cannot work here.
    """
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    if launcher == 'pytorch':
        absent = [v for v in TORCHRUN_VARIABLES if v not in os.environ]
        if absent:
            raise UsageError(
                '--launcher pytorch is for processes that torchrun started, '
                f'but {", ".join(absent)} is not in the environment; use '
                'tools/dist_train.sh or tools/dist_test.sh')
    if has_accelerator():
        return
    if launcher != 'pytorch':
        raise UsageError(
            f'--launcher {launcher} needs a GPU in each process and finds '
            'none; without GPUs use --launcher pytorch')
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    use_cpu_wrapper(cfg)


def use_cpu_wrapper(cfg: Config) -> None:
    """Let a distributed model run without a GPU.

    Args:
        cfg (Config): The config, changed in place.
    """
    cfg.model_wrapper_cfg = ConfigDict(
        type='MMDistributedDataParallel',
        device_ids=None,
        # What mmengine does by itself without a `model_wrapper_cfg`.
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.pop('sync_bn', None)
    for _, node in walk(cfg.model):
        if node.get('type') in ('SyncBN', 'MMSyncBN'):
            node['type'] = 'BN'


def build_runner(cfg: Config, training: bool) -> Runner:
    """Build the runner of a config, with the check of checkpoints.

    Args:
        cfg (Config): The config.
        training (bool): Whether it is to train, and not to test.

    Returns:
        Runner: The runner.
    """
    runner = (
        RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg))
    runner.register_hook(CheckpointFitHook(training))
    return runner


def summary_line(metrics: dict, tta: bool) -> str:
    """Return the result of a test as one line.

    Args:
        metrics (dict): What ``Runner.test`` returned.
        tta (bool): Whether the test was augmented: it makes mIoU-MS out of
            mIoU-SS.

    Returns:
        str: Such as 'mIoU-SS 45.10 | mAcc 57.20 | aAcc 80.10', in percent.
    """
    names = {'mIoU': f'mIoU-{"MS" if tta else "SS"}'}
    parts = []
    for key, value in sorted(metrics.items(), key=_main_first):
        name = key.split('/')[-1]
        if name.startswith('top') and name[3:].isdigit():
            name = f'top-{name[3:]}' + (' (TTA)' if tta else '')
        parts.append(f'{names.get(name, name)} {float(value):.2f}')
    return ' | '.join(parts)


def _main_first(item: Sequence) -> tuple:
    order = ('mIoU', 'top1', 'top5', 'mAcc', 'aAcc')
    name = item[0].split('/')[-1]
    return order.index(name) if name in order else len(order), name
