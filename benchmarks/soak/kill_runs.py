"""One process of a tiny training that reports when each iteration begins."""

import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import loops
from yapf.yapflib import yapf_api

from mmdavpt.cli.launch import use_cpu_wrapper
from mmdavpt.engine.runner import DAVPTRunner

from .kill_configs import RUNS, config_of


class IterationReporter(Hook):
    """Report to another process which iteration begins."""

    def __init__(self, told: Connection) -> None:
        self.told = told

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Send the number of finished iterations."""
        self.told.send(runner.iter)


def train(
    name: str, work_dir: str, rank: int, port: int, told: Connection
) -> None:
    """Run one process of a training, from its start or last checkpoint.

    Args:
        name (str): A key of :data:`RUNS`.
        work_dir (str): Its work folder. At the end of the run its final state
            is saved there as ``end_RANK.pth``.
        rank (int): The rank of this process.
        port (int): The port where several processes meet.
        told (Connection): Receives the iterations.
    """
    _speed_up(Path(work_dir) / f'output_{rank}.txt')
    cfg = config_of(name, work_dir)
    world_size = RUNS[name][2]
    if world_size > 1:
        os.environ.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(world_size),
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(port),
        )
        dist.init_process_group('gloo')
        cfg.launcher = 'pytorch'
        use_cpu_wrapper(cfg)
    runner = DAVPTRunner.from_cfg(cfg)
    runner.register_hook(IterationReporter(told))
    try:
        runner.train()
    finally:
        if world_size > 1:
            dist.destroy_process_group()
    model = runner.model.module if world_size > 1 else runner.model
    state = dict(
        model=model.state_dict(),
        optimizer=runner.optim_wrapper.state_dict(),
        schedulers=[s.state_dict() for s in runner.param_schedulers or ()],
        averages=[
            hook.ema_model.state_dict()
            for hook in runner.hooks
            if isinstance(hook, EMAHook)
        ],
        best=runner.message_hub.runtime_info.get('best_score'),
    )
    if rank > 0:
        # Each rank has its own statistics; only those of rank 0 are saved.
        state['model'] = {
            key: value
            for key, value in state['model'].items()
            if 'running_' not in key
        }
    torch.save(state, Path(work_dir) / f'end_{rank}.pth')


def _speed_up(output: Path) -> None:
    """Log to a file, and skip slow steps that change nothing."""
    output.parent.mkdir(parents=True, exist_ok=True)
    file = output.open('a', buffering=1)
    for stream in (1, 2):
        os.dup2(file.fileno(), stream)
    sys.stdout = sys.stderr = file
    torch.set_num_threads(1)
    # One process group with its workers, which can be killed together.
    os.setsid()
    yapf_api.FormatCode = lambda text, **options: (text, True)
    DAVPTRunner._log_env = lambda self, cfg: None
    loops.time = _NoSleep


class _NoSleep:
    """mmengine sleeps for two seconds between loops."""

    time = time.time

    @staticmethod
    def sleep(seconds: float) -> None:
        """Return at once."""
