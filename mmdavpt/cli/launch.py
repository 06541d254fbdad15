"""Start distributed and mixed-precision runs, with and without a GPU."""

import datetime
import gc
import os

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from mmdavpt.checks.introspection import walk
from mmdavpt.errors import UsageError

#: Seconds that a rank waits for another one: rank 0 may need that long to
#: cluster many classes. When a rank dies the others end much sooner.
TIMEOUT = 1800
#: Each launcher to the variable that it sets, and how to start it.
LAUNCHERS = dict(
    pytorch=('RANK', 'tools/dist_train.sh'),
    slurm=('SLURM_PROCID', 'tools/slurm_train.sh'),
    mpi=('OMPI_COMM_WORLD_RANK', 'mpirun'),
)


def has_accelerator() -> bool:
    """Return whether this machine has a device for distributed training."""
    return get_device() not in ('cpu', 'mps')


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 on a GPU, bfloat16 on a CPU.

    Args:
        cfg (Config): The config, changed in place.

    Raises:
        UsageError: If the config has a custom optimizer wrapper.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    on_cpu, on_gpu = 'mmdavpt.CpuAmpOptimWrapper', 'AmpOptimWrapper'
    if kind not in ('OptimWrapper', on_cpu, on_gpu):
        raise UsageError(
            '--amp replaces the `OptimWrapper` of a config, but '
            f'`optim_wrapper.type` is {kind!r}; leave --amp out or change it'
        )
    if has_accelerator():
        wrapper.type = on_gpu
        wrapper.setdefault('loss_scale', 'dynamic')
    else:
        wrapper.type = on_cpu
        for name in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(name, None)


def prepare_launcher(cfg: Config, local_rank: int = 0) -> None:
    """Prepare a distributed run, also on a machine without a GPU.

    mmengine selects a CUDA device before anything else. Without one, this
    function creates a gloo process group from torchrun's variables, the
    distributed wrapper gets no device, and SyncBN becomes BN, since torch's
    runs on GPUs only.

    A rank waits for another one for ``env_cfg.dist_cfg.timeout`` seconds, by
    default half an hour.

    Args:
        cfg (Config): The config with its ``launcher``, changed in place.
        local_rank (int): Rank on this machine, if it is not in the
            environment. Defaults to 0.

    Raises:
        UsageError: If this process was not started by the launcher, or if
            Slurm or MPI started it without a GPU.
    """
    launcher = cfg.get('launcher', 'none')
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    if launcher == 'none':
        return
    variable, starter = LAUNCHERS[launcher]
    if variable not in os.environ:
        raise UsageError(
            f'--launcher {launcher} needs {variable} in the environment; '
            f'start with {starter}, or leave --launcher out'
        )
    env_cfg = cfg.setdefault('env_cfg', ConfigDict())
    dist_cfg = env_cfg.setdefault('dist_cfg', ConfigDict(backend='nccl'))
    timeout = dist_cfg.setdefault('timeout', TIMEOUT)
    if has_accelerator():
        return
    if launcher != 'pytorch':
        raise UsageError(
            f'--launcher {launcher} needs GPUs; start with '
            'tools/dist_train.sh, or leave --launcher out'
        )
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(
            'gloo', timeout=datetime.timedelta(seconds=timeout)
        )
    use_cpu_wrapper(cfg)


def use_cpu_wrapper(cfg: Config) -> None:
    """Let a distributed model run without a GPU.

    SyncBN becomes BN: each process normalizes by its own part of the batch.

    Args:
        cfg (Config): The config, changed in place.
    """
    cfg.model_wrapper_cfg = ConfigDict(
        type='MMDistributedDataParallel',
        device_ids=None,
        # mmengine's values for a run without a `model_wrapper_cfg`.
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.pop('sync_bn', None)
    for _, layer in walk(cfg.model):
        if layer.get('type') in ('SyncBN', 'MMSyncBN'):
            layer.type = 'BN'


def leave_process_group() -> None:
    """Destroy the process group, if there is one.

    The runner and its wrapped model refer to each other and keep the group
    alive; a group that lives until the interpreter shuts down can abort it.
    """
    gc.collect()
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
