"""A quiet terminal: what libraries log goes to the log file only.

Shown are results, warnings and this package's own lines. Everything is
installed by :func:`quiet_console` and removed at its end.
"""

import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import dropwhile
from unittest.mock import patch

from mmengine.logging import MMLogger
from mmengine.logging import logger as mmengine_logging

from mmdavpt.errors import warn

#: Parts of warnings of libraries that call for no action: what becomes
#: obsolete, frozen weights, and defaults that the shipped configs keep.
HARMLESS = (
    *('deprecated', 'requires_grad=False', 'prefix is not set in metric'),
    *('avg_non_ignore', 'draw is False', 'MKL_NUM_THREADS', 'pin_memory'),
    *('For binary segmentation, we suggest', 'trace to be incorrect'),
)
LIBRARIES = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain')
#: Modules between a caller and this one.
BETWEEN = (__name__, 'logging', 'warnings', mmengine_logging.__name__)
#: Lines of the terminal: notes, and records above the level INFO.
FORMATTERS = [
    logging.Formatter(f'%(asctime)s {level}%(message)s', '%H:%M:%S')
    for level in ('', '%(levelname)s: ')
]


@contextmanager
def quiet_console(verbose: bool = False) -> Iterator[None]:
    """Show only results and warnings; the log file has what is logged.

    What libraries print, and harmless warnings, are dropped.

    Args:
        verbose (bool): Whether to show everything. Defaults to False.
    """
    if verbose:
        yield
        return
    with (
        patch.object(MMLogger, 'callHandlers', log),
        # It prints what libraries log without a logger.
        patch.object(
            mmengine_logging, 'print', lambda *texts: None, create=True
        ),
        patch.object(warnings, 'showwarning', show_warning),
    ):
        yield


def log(logger: MMLogger, record: logging.LogRecord) -> None:
    """Write a record to the log file, and show it if it matters.

    Args:
        logger (MMLogger): The logger.
        record (logging.LogRecord): The record.
    """
    shown = is_shown(record)
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setFormatter(FORMATTERS[record.levelno > logging.INFO])
            if not shown:
                continue
        if record.levelno >= handler.level:
            handler.handle(record)


def show_warning(message: Warning | str, kind: type[Warning], *place) -> None:
    """Show a warning as one line, except what a user cannot change.

    Args:
        message (Warning | str): See :func:`warnings.showwarning`.
        kind (type[Warning]): Its category, see there.
        *place: What else is passed there.
    """
    text, modules = ' '.join(str(message).split()), callers()
    ignored = (
        issubclass(kind, (DeprecationWarning, FutureWarning))
        or 'importlib._bootstrap' in modules
        or any(part in text for part in HARMLESS)
    )
    if modules[0].startswith('mmdavpt') or not ignored:
        warn(text)


def is_shown(record: logging.LogRecord) -> bool:
    """Return whether the terminal shows a record.

    Args:
        record (logging.LogRecord): The record that is being logged.
    """
    module, text = callers()[0], record.getMessage()
    if module.partition('.')[0] not in LIBRARIES:
        return True
    if record.levelno > logging.INFO:
        harmless = any(part in text for part in HARMLESS)
        return record.levelno > logging.WARNING or not harmless
    # Metrics, checkpoints, early stops, the place where a run resumes; not
    # the name of the run again.
    shown = re.search(r'\.(hooks|evaluation|evaluator)\.', module)
    named_again = 'Exp name' in text
    return text.startswith('resumed epoch') or bool(shown and not named_again)


def callers() -> list[str]:
    """Return the modules on the stack, from the one that logs or warns."""
    frames = traceback.walk_stack(sys._getframe())
    names = [frame.f_globals.get('__name__', '') for frame, _ in frames]
    return list(dropwhile(BETWEEN.__contains__, names))
