"""One process of a tiny training, which tells when each iteration begins."""

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


class Teller(Hook):
    """Tells another process which iteration begins."""

    def __init__(self, told: Connection) -> None:
        self.told = told

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Tell the number of iterations that are done."""
        self.told.send(runner.iter)


def train(
    name: str, work_dir: str, rank: int, port: int, told: Connection
) -> None:
    """Be one process of a run, from its beginning or its last checkpoint.

    Args:
        name (str): A key of :data:`RUNS`.
        work_dir (str): Its work folder. What this process ends with is saved
            in it as ``end_RANK.pth``, if the run ends.
        rank (int): The rank of this process.
        port (int): Where the processes meet, if there are several.
        told (Connection): Hears which iteration begins.
    """
    _be_quiet_and_quick(Path(work_dir) / f'output_{rank}.txt')
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
    runner.register_hook(Teller(told))
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
        # Each process has its own, of which those of rank 0 are saved.
        state['model'] = {
            key: value
            for key, value in state['model'].items()
            if 'running_' not in key
        }
    torch.save(state, Path(work_dir) / f'end_{rank}.pth')


def _be_quiet_and_quick(output: Path) -> None:
    """Write to a file, and leave out what takes long and changes nothing."""
    output.parent.mkdir(parents=True, exist_ok=True)
    file = output.open('a', buffering=1)
    for stream in (1, 2):
        os.dup2(file.fileno(), stream)
    sys.stdout = sys.stderr = file
    torch.set_num_threads(1)
    # With its workers it is a group, which can be killed at once.
    os.setsid()
    yapf_api.FormatCode = lambda text, **options: (text, True)
    DAVPTRunner._log_env = lambda self, cfg: None
    loops.time = _NoSleep


class _NoSleep:
    """The host sleeps for two seconds between passes."""

    time = time.time

    @staticmethod
    def sleep(seconds: float) -> None:
        """Do not."""
