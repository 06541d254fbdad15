"""Mixed precision and distributed runs, with and without a GPU."""

import datetime
import os
import sys

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from mmdavpt.checks.config.config_keys import walk
from mmdavpt.errors import UsageError

from .launcher_variables import (
    OWN_VARIABLES,
    TORCHRUN_VARIABLES,
    check_variables,
    use_variables,
)

#: Seconds that a process waits for another one, as long as rank 0 may take to
#: cluster many classes. A process that dies ends the others much sooner.
TIMEOUT = 1800


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

    What the launcher says of ranks and addresses is put into the variables
    of torchrun. mmengine's own start selects a CUDA device before anything
    else; without one, the process group is made here with gloo, the
    distributed wrapper gets no device, and SyncBN becomes BN, since torch's
    runs on GPUs only.

    A process waits for another one for ``env_cfg.dist_cfg.timeout`` seconds,
    half an hour unless the config says otherwise.

    Args:
        cfg (Config): The config with its ``launcher``, changed in place.
        local_rank (int): Rank on this machine, if the launcher did not put
            it into the environment. Defaults to 0.

    Raises:
        UsageError: If the launcher cannot work here.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher in OWN_VARIABLES:
        use_variables(launcher)
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    if launcher == 'none':
        return
    check_variables(launcher, TORCHRUN_VARIABLES)
    timeout = set_timeout(cfg)
    if has_accelerator():
        return
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(
            'gloo', timeout=datetime.timedelta(seconds=timeout)
        )
    use_cpu_wrapper(cfg)


def set_timeout(cfg: Config) -> float:
    """Return how long processes wait for each other; set it where it is not.

    Args:
        cfg (Config): The config, changed in place.

    Returns:
        float: Seconds.

    Raises:
        UsageError: If it is not a positive number.
    """
    env_cfg = cfg.setdefault('env_cfg', ConfigDict())
    dist_cfg = env_cfg.setdefault('dist_cfg', ConfigDict(backend='nccl'))
    timeout = dist_cfg.setdefault('timeout', TIMEOUT)
    if isinstance(timeout, bool) or not (
        isinstance(timeout, (int, float)) and timeout > 0
    ):
        raise UsageError(
            'env_cfg.dist_cfg.timeout should be the seconds that a process '
            f'waits for another one, but is {timeout!r}; leave it out for '
            f'{TIMEOUT}'
        )
    return timeout


def use_cpu_wrapper(cfg: Config) -> None:
    """Let a distributed model run without a GPU; say so if SyncBN becomes BN.

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
    found = cfg.pop('sync_bn', None) is not None
    for _, node in walk(cfg.model):
        if node.get('type') in ('SyncBN', 'MMSyncBN'):
            node['type'] = 'BN'
            found = True
    if found and os.environ.get('RANK', '0') == '0':
        sys.stderr.write(
            'SyncBN needs GPUs: here each process normalises by its own part '
            'of the batch\n'
        )
