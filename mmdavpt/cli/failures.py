"""Report failures before the first iteration in one sentence."""

import logging
import os.path as osp
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.utils import mkdir_or_exist

from mmdavpt.checks.config_errors import describe
from mmdavpt.checks.introspection import walk
from mmdavpt.errors import UsageError


class StartedHook(Hook):
    """Remember that a run has finished an iteration."""

    started = False

    def after_train_iter(self, *args, **kwargs) -> None:
        """Remember an iteration of a training."""
        self.started = True

    def after_test_iter(self, *args, **kwargs) -> None:
        """Remember an iteration of a test."""
        self.started = True


@contextmanager
def early_failures_logged(cfg: Config) -> Iterator[StartedHook]:
    """Turn a failure before the first iteration into a sentence.

    The traceback goes to the log file of the run, or to ``error.log`` in its
    work folder if there is no log file yet.

    Args:
        cfg (Config): The config with its ``work_dir``.

    Yields:
        StartedHook: A hook to register with the runner.

    Raises:
        UsageError: If the body fails before the first iteration. Later
            failures are raised as they are.
    """
    hook = StartedHook()
    try:
        yield hook
    except Exception as error:
        expected = isinstance(error, UsageError)
        if hook.started or expected and error.__cause__ is None:
            raise
        log = _write_traceback(error, cfg.work_dir)
        if expected:
            raise
        nodes = list(walk(cfg._cfg_dict))
        raise UsageError(
            f'the run failed before its first iteration: '
            f'{describe(error, nodes)}'
            + (f'; the traceback is in {log}' if log else '')
        ) from error


def _write_traceback(error: Exception, work_dir: str) -> str | None:
    """Append a traceback to the log, and return the log's path."""
    handlers = MMLogger.get_current_instance().handlers
    files = [h for h in handlers if isinstance(h, logging.FileHandler)]
    log = files[0].baseFilename if files else osp.join(work_dir, 'error.log')
    with suppress(OSError):  # such as a work folder that cannot be written
        mkdir_or_exist(osp.dirname(log))
        with open(log, 'a', encoding='utf-8') as file:
            file.write(''.join(traceback.format_exception(error)))
        return log
    return None
