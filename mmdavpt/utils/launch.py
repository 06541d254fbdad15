"""Mixed precision and distributed runs, with and without a GPU."""

import os

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from mmdavpt.checks.config_keys import walk
from mmdavpt.errors import UsageError

TORCHRUN_VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


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
    mixed = (
        'AmpOptimWrapper'
        if has_accelerator()
        else 'mmdavpt.CpuAmpOptimWrapper'
    )
    if kind not in (
        'OptimWrapper',
        'AmpOptimWrapper',
        'mmdavpt.CpuAmpOptimWrapper',
    ):
        raise UsageError(
            '--amp replaces the `OptimWrapper` of a config, but '
            f'`optim_wrapper.type` is {kind!r}; leave --amp out, or change it'
        )
    wrapper.type = mixed
    if has_accelerator():
        wrapper.setdefault('loss_scale', 'dynamic')
    else:
        for name in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(name, None)


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
                'tools/dist_train.sh or tools/dist_test.sh'
            )
    if has_accelerator():
        return
    if launcher != 'pytorch':
        raise UsageError(
            f'--launcher {launcher} needs a GPU in each process and finds '
            'none; without GPUs use --launcher pytorch'
        )
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
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.pop('sync_bn', None)
    for _, node in walk(cfg.model):
        if node.get('type') in ('SyncBN', 'MMSyncBN'):
            node['type'] = 'BN'
