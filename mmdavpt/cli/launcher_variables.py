"""The environment variables in which launchers say who is who."""

import os
import subprocess
from collections.abc import Iterable

from mmdavpt.errors import UsageError

TORCHRUN_VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
#: What launchers call the rank, the number of ranks and that on the machine.
OWN_VARIABLES = {
    'slurm': dict(
        RANK='SLURM_PROCID',
        WORLD_SIZE='SLURM_NTASKS',
        LOCAL_RANK='SLURM_LOCALID',
    ),
    'mpi': dict(
        RANK='OMPI_COMM_WORLD_RANK',
        WORLD_SIZE='OMPI_COMM_WORLD_SIZE',
        LOCAL_RANK='OMPI_COMM_WORLD_LOCAL_RANK',
    ),
}
START_WITH = {
    'pytorch': 'tools/dist_train.sh or tools/dist_test.sh',
    'slurm': 'tools/slurm_train.sh or tools/slurm_test.sh',
    'mpi': 'mpirun of Open MPI',
}


def check_variables(launcher: str, names: Iterable[str]) -> None:
    """Check that a launcher started this process.

    Args:
        launcher (str): 'pytorch', 'slurm' or 'mpi'.
        names (Iterable[str]): The variables that it sets.

    Raises:
        UsageError: If one is absent.
    """
    absent = [name for name in names if name not in os.environ]
    if absent:
        raise UsageError(
            f'--launcher {launcher} is for processes that '
            f'{START_WITH[launcher]} started, but {", ".join(absent)} is not '
            'in the environment; start them so, or leave --launcher out'
        )


def use_variables(launcher: str) -> None:
    """Put what Slurm or Open MPI say of processes into torchrun's variables.

    Args:
        launcher (str): 'slurm' or 'mpi'.

    Raises:
        UsageError: If this process was not started by the launcher, or the
            machine of rank 0 cannot be found out.
    """
    names = OWN_VARIABLES[launcher]
    check_variables(launcher, names.values())
    os.environ.update({ours: os.environ[own] for ours, own in names.items()})
    if launcher == 'slurm':
        # Jobs that share a machine have different numbers.
        job = int(os.environ.get('SLURM_JOB_ID', 0))
        os.environ.setdefault('MASTER_PORT', str(20000 + job % 10000))
        if 'MASTER_ADDR' not in os.environ:
            os.environ['MASTER_ADDR'] = first_slurm_host()
    os.environ.setdefault('MASTER_PORT', '29500')


def first_slurm_host() -> str:
    """Return the machine of rank 0 of a Slurm job.

    Raises:
        UsageError: If Slurm does not say.
    """
    nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ.get(
        'SLURM_NODELIST', ''
    )
    if nodes and not set(nodes) & set('[,'):  # a single one
        return nodes
    asked = f'scontrol show hostnames {nodes}'
    try:
        done = subprocess.run(
            asked.split(' '), capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UsageError(_no_host(asked, f'{error}')) from error
    hosts = done.stdout.split()
    if done.returncode or not hosts:
        raise UsageError(
            _no_host(asked, f'exit status {done.returncode}, {done.stderr!r}')
        )
    return hosts[0]


def _no_host(asked: str, reason: str) -> str:
    return (
        f'the first machine of the Slurm job should come from `{asked}`, but '
        f'it does not say ({reason}); set MASTER_ADDR to that machine'
    )
