"""Report failures before the first iteration in one sentence."""

import os
import os.path as osp
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mmengine.config import Config
from mmengine.logging import MMLogger

from mmdavpt.checks.config_errors import describe
from mmdavpt.errors import UsageError

from .summary import SummaryHook


@contextmanager
def early_failures_logged(cfg: Config, run: SummaryHook) -> Iterator[None]:
    """Turn a failure before the first iteration into a sentence.

    The traceback goes to the log file of the run, or to ``error.log`` in its
    work folder if there is no log file yet.

    Args:
        cfg (Config): The config with its ``work_dir``.
        run (SummaryHook): A hook of the runner.

    Raises:
        UsageError: If the body fails before the first iteration. Later
            failures are raised as they are.
    """
    try:
        yield
    except Exception as error:
        expected = isinstance(error, UsageError)
        if run.started or expected and error.__cause__ is None:
            raise
        log = MMLogger.get_current_instance().log_file
        log, where = log or osp.join(cfg.work_dir, 'error.log'), ''
        with suppress(OSError):  # such as a folder that cannot be written
            os.makedirs(osp.dirname(log), exist_ok=True)
            with open(log, 'a', encoding='utf-8') as file:
                traceback.print_exception(error, file=file)
            where = f'; the traceback is in {log}'
        if expected:
            raise
        raise UsageError(
            f'the run failed before its first iteration: '
            f'{describe(error, cfg._cfg_dict)}{where}'
        ) from error
