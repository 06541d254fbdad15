"""Start distributed and mixed-precision runs, with and without a GPU."""

import datetime
import gc
import os
import subprocess
from collections.abc import Iterable

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from mmdavpt.checks.introspection import walk
from mmdavpt.errors import UsageError

#: Seconds that a rank waits for another one: rank 0 may need that long to
#: cluster many classes. When a rank dies the others end much sooner.
TIMEOUT = 1800
TORCHRUN_VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
#: Rank, number of ranks and rank on a machine in the environment.
LAUNCHER_VARIABLES = dict(
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    mpi=tuple(f'OMPI_COMM_WORLD_{n}' for n in ('RANK', 'SIZE', 'LOCAL_RANK')),
)
STARTERS = dict(
    pytorch='tools/dist_train.sh', slurm='tools/slurm_train.sh', mpi='mpirun'
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

    The launcher's ranks and addresses go into torchrun's variables. mmengine
    selects a CUDA device before anything else; without one, this function
    creates a gloo process group, the distributed wrapper gets no device, and
    SyncBN becomes BN, since torch's runs on GPUs only.

    A rank waits for another one for ``env_cfg.dist_cfg.timeout`` seconds, by
    default half an hour.

    Args:
        cfg (Config): The config with its ``launcher``, changed in place.
        local_rank (int): Rank on this machine, if it is not in the
            environment. Defaults to 0.

    Raises:
        UsageError: If this process was not started by the launcher.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher in LAUNCHER_VARIABLES:
        set_torchrun_variables(launcher)
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    if launcher == 'none':
        return
    _check_started_by(launcher, TORCHRUN_VARIABLES)
    env_cfg = cfg.setdefault('env_cfg', ConfigDict())
    dist_cfg = env_cfg.setdefault('dist_cfg', ConfigDict(backend='nccl'))
    timeout = dist_cfg.setdefault('timeout', TIMEOUT)
    if has_accelerator():
        return
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


def set_torchrun_variables(launcher: str) -> None:
    """Set torchrun's variables from those of Slurm or Open MPI.

    Args:
        launcher (str): 'slurm' or 'mpi'.

    Raises:
        UsageError: If this process was not started by the launcher, or the
            machine of rank 0 is unknown.
    """
    names = LAUNCHER_VARIABLES[launcher]
    _check_started_by(launcher, names)
    ours = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')
    os.environ.update(zip(ours, map(os.environ.get, names), strict=True))
    if launcher == 'slurm':
        # Jobs that share a machine have different numbers.
        job = int(os.environ.get('SLURM_JOB_ID', 0))
        os.environ.setdefault('MASTER_PORT', str(20000 + job % 10000))
        if 'MASTER_ADDR' not in os.environ:
            os.environ['MASTER_ADDR'] = _first_slurm_node()
    os.environ.setdefault('MASTER_PORT', '29500')


def _check_started_by(launcher: str, names: Iterable[str]) -> None:
    absent = [name for name in names if name not in os.environ]
    if absent:
        raise UsageError(
            f'--launcher {launcher} needs {", ".join(absent)} in the '
            f'environment; start with {STARTERS[launcher]}, or leave '
            '--launcher out'
        )


def _first_slurm_node() -> str:
    nodes = os.environ.get('SLURM_STEP_NODELIST')
    command = ['scontrol', 'show', 'hostnames']
    command += [nodes or os.environ.get('SLURM_NODELIST', '')]
    try:
        return subprocess.check_output(command, text=True).split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise UsageError(
            f'`{" ".join(command)}` should name the first machine of the '
            f'Slurm job, but failed ({error}); set MASTER_ADDR to it'
        ) from error


def leave_process_group() -> None:
    """Destroy the process group, if there is one.

    The runner and its wrapped model refer to each other and keep the group
    alive; a group that lives until the interpreter shuts down can abort it.
    """
    gc.collect()
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
