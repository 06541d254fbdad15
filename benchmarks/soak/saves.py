"""Kill saves, or let them fail, at random bytes and between any two steps.

Each case saves the next checkpoint of a run in its own process, as training
does: a file, the pointer to it, the removal of the oldest. The kernel kills
it at a random byte (``RLIMIT_FSIZE``), or writing fails there as on a full
disk, or it is killed before one of its calls that change the folder. Then the
run must find its last checkpoint intact.
"""

import os
import random
import resource
import signal
import tempfile
import time
from collections import deque
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmdavpt.checkpoints import (
    last_checkpoint,
    read_run_checkpoint,
)
from mmdavpt.engine.hooks import DAVPTCheckpointHook
from mmdavpt.errors import UsageError
from tests import toy

from .report import Report

#: Calls of ``os`` that change or sync a folder.
STEPS = ('replace', 'remove', 'fsync')
#: At most this many per save: file, folder, pointer, folder, oldest.
MOST_STEPS = 10


def run(count: int, seed: int, deadline: float) -> Report:
    """Interrupt saves, and look for lost checkpoints.

    Args:
        count (int): The number of saves.
        seed (int): The first seed.
        deadline (float): The latest end, in ``time.monotonic`` seconds.

    Returns:
        Report: The outcomes.
    """
    report, begin = Report('saves'), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        saving = Saving(folder)
        for case in range(seed, seed + count):
            if time.monotonic() > deadline:
                break
            outcome = saving.interrupted(random.Random(case))
            problem = saving.problem()
            if problem is None:
                report.passed(outcome)
            else:
                report.failed(case, f'{outcome}: {problem}')
                saving = Saving(tempfile.mkdtemp(dir=folder))
    report.seconds = time.monotonic() - begin
    return report


class Saving:
    """A run whose saves are interrupted.

    Args:
        folder (str): The work folder.
    """

    def __init__(self, folder: str) -> None:
        cfg = toy.classification(folder)
        cfg['default_hooks']['checkpoint']['max_keep_ckpts'] = 1
        cfg['runner_type'] = 'mmdavpt.DAVPTRunner'
        cfg['log_level'] = 'CRITICAL'
        self.folder = folder
        self.runner = RUNNERS.build(Config(cfg))
        runner = self.runner
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        (self.hook,) = [
            hook
            for hook in runner.hooks
            if isinstance(hook, DAVPTCheckpointHook)
        ]
        self.hook.before_train(runner)
        self.step = 0
        self.sure = 0
        self.silent = False
        self.save()
        self.size = os.path.getsize(Path(folder) / 'epoch_1.pth')

    def save(self) -> None:
        """Save the next checkpoint without interruption."""
        self.step += 1
        with torch.no_grad():
            for parameter in self.runner.model.parameters():
                parameter.fill_(self.step)
        self.hook._save_checkpoint_with_step(
            self.runner, self.step, dict(epoch=self.step, iter=self.step)
        )
        self.sure = self.step

    def interrupted(self, draw: random.Random) -> str:
        """Save the next checkpoint in a process that is interrupted.

        Args:
            draw (random.Random): Draws where and how.

        Returns:
            str: The interruption and the outcome.
        """
        kind = draw.choice(['killed at a byte', 'full disk', 'killed between'])
        limit = draw.randrange(int(1.1 * self.size))
        step = draw.randrange(MOST_STEPS)
        child = os.fork()
        if child == 0:
            self._end_at(kind, limit, step)
        status = os.waitpid(child, 0)[1]
        self.step += 1
        self.silent = False
        if os.WIFSIGNALED(status):
            return f'{kind}: killed'
        code = os.WEXITSTATUS(status)
        if code == 0:
            self._follow()
        self.silent = code not in (0, 3)
        return f'{kind}: ' + {0: 'saved', 3: 'refused'}.get(code, 'an error')

    def _end_at(self, kind: str, limit: int, step: int) -> None:
        """Save, and exit this process."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if kind == 'killed between':
            _kill_at_step(step)
        else:
            full = kind == 'full disk'
            action = signal.SIG_IGN if full else signal.SIG_DFL
            signal.signal(signal.SIGXFSZ, action)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            self.save()
            os._exit(3 if self.hook._unsaved is not None else 0)
        finally:
            os._exit(9)

    def _follow(self) -> None:
        """Take over what the other process has saved."""
        self.sure = self.step
        self.hook.keep_ckpt_ids = deque([self.step])
        self.hook.last_ckpt = str(Path(self.folder) / f'epoch_{self.step}.pth')

    def problem(self) -> str | None:
        """Return the problem that a new start would have, or None."""
        if self.silent:
            return 'the failure was silent'
        try:
            path, notes = last_checkpoint(self.folder)
            if path is None:
                return 'no checkpoint is left'
            if notes:
                return f'skipped: {notes}'
            content = read_run_checkpoint(path)
        except UsageError as error:
            return str(error)
        found = content['meta']['iter']
        if not self.sure <= found <= self.step:
            return f'saved {self.sure}, found {found}, tried {self.step}'
        self.sure = found
        for name, _ in self.runner.model.named_parameters():
            if not (content['state_dict'][name] == found).all():
                return f'{name} of {path} is not of step {found}'
        return None


def _kill_at_step(step: int) -> None:
    """Kill this process before its n-th call that changes a folder."""
    count = [0]

    def killing(function):
        def call(*args):
            if count[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] += 1
            return function(*args)

        return call

    for name in STEPS:
        setattr(os, name, killing(getattr(os, name)))
