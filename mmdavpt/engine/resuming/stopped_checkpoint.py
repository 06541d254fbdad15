"""The checkpoint of a training that was asked to stop."""

import os.path as osp
import signal

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdavpt.checkpoints import write_pointer
from mmdavpt.engine.ranks.on_main import on_main

#: One name for all: the next stop replaces it.
STOPPED = 'stopped.pth'


def save_stopped(runner: Runner, number: int) -> None:
    """Save what a stopped training goes on from, and say so.

    It is for a training between two iterations, or in a validation. All
    processes call it together.

    Args:
        runner (Runner): The runner.
        number (int): The number of the signal.

    Raises:
        SaveError: On all processes, if it cannot be written.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    folder = hooks[0].out_dir if hooks else runner.work_dir
    path = osp.join(folder, STOPPED)
    runner.save_checkpoint(
        folder, STOPPED, meta=dict(epoch=runner.epoch, iter=runner.iter)
    )
    on_main(lambda: write_pointer(runner.work_dir, path))
    runner.logger.warning(
        f'The training was stopped by {signal.Signals(number).name} after '
        f'iteration {runner.iter} of {runner.max_iters}, and all of it is '
        f'saved in {path}: start it again with --resume to go on.'
    )
