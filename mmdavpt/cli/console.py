"""A quiet terminal: what libraries note goes to the log file only.

Shown are results, warnings and this package's own lines. Everything is
installed by :func:`quiet_console` and removed at its end.
"""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from mmengine.logging import MMLogger
from mmengine.logging import logger as mmengine_logging

from mmdavpt.errors import warn

#: Parts of warnings of libraries that call for no action: what becomes
#: obsolete, frozen weights, and defaults that the shipped configs keep.
HARMLESS = (
    *('deprecated', 'requires_grad=False', 'prefix is not set in metric'),
    *('avg_non_ignore', 'draw is False', 'MKL_NUM_THREADS', 'pin_memory'),
    'For binary segmentation, we suggest',
)
LIBRARIES = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain')
#: Modules between a caller and this one.
BETWEEN = (__name__, 'logging', 'warnings', mmengine_logging.__name__)


@contextmanager
def quiet_console(verbose: bool = False) -> Iterator[None]:
    """Send notes of libraries to the log file of a run, not to the terminal.

    Args:
        verbose (bool): Whether to show them on the terminal too. Defaults to
            False.
    """
    if verbose:
        yield
        return
    notes = Notes()
    with (
        patch.object(MMLogger, '__init__', notes.initializer()),
        # It prints what libraries log without a logger.
        patch.object(mmengine_logging, 'print', notes.add, create=True),
        patch.object(warnings, 'showwarning', notes.add_warning),
    ):
        yield


class Notes(logging.Filter):
    """Keep the notes of libraries until a run has a log file.

    As a filter of a terminal's handler, it drops their records.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []
        self.file: logging.Handler | None = None

    def initializer(self) -> Any:
        """Return an initializer of loggers whose terminal is quiet."""
        initialize = MMLogger.__init__

        def initialize_quietly(logger: MMLogger, *args, **kwargs) -> None:
            initialize(logger, *args, **kwargs)
            for handler in logger.handlers:
                if isinstance(handler, logging.FileHandler):
                    self.file = handler
                else:
                    handler.addFilter(self)
                    handler.setFormatter(ShortFormatter())
            self.add()

        return initialize_quietly

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to show a record on the terminal."""
        module = _callers()[0]
        if module.partition('.')[0] not in LIBRARIES:
            return True
        text = record.getMessage()
        if record.levelno > logging.WARNING:
            return True
        if record.levelno == logging.WARNING:
            return not any(part in text for part in HARMLESS)
        # Metrics, checkpoints, early stops, the place where a run resumes;
        # not the name of the run again.
        shown = ('.hooks.', '.evaluation.', '.evaluator.')
        is_shown = any(s in module for s in shown)
        return text.startswith('resumed epoch') or (
            is_shown and 'Exp name' not in text
        )

    def add(self, *texts: object) -> None:
        """Add notes, and write those that wait if there is a file.

        Args:
            *texts (object): What a library would print.
        """
        self.waiting += map(str, texts)
        while self.file is not None and self.waiting:
            text = self.waiting.pop(0)
            note = dict(name='mmdavpt', levelno=logging.INFO, msg=text)
            self.file.handle(logging.makeLogRecord(note))

    def add_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        *args,
    ) -> None:
        """Show a warning as one line, except what a user cannot change.

        Args:
            message (Warning | str): See :func:`warnings.showwarning`.
            category (type[Warning]): See there.
            filename (str): See there.
            lineno (int): See there.
            *args: See there.
        """
        text = ' '.join(str(message).split())
        self.add(f'{filename}:{lineno}: {category.__name__}: {text}')
        modules = _callers()
        obsolete = issubclass(category, (DeprecationWarning, FutureWarning))
        imported = 'importlib._bootstrap' in modules
        harmless = any(part in text for part in HARMLESS)
        if modules[0].startswith('mmdavpt') or not (
            obsolete or imported or harmless
        ):
            warn(text)


class ShortFormatter(logging.Formatter):
    """Time and message, and the level if it is not INFO."""

    def __init__(self) -> None:
        super().__init__('%(asctime)s %(message)s', '%H:%M:%S')

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format a record."""
        if record.levelno > logging.INFO:
            record.message = f'{record.levelname}: {record.message}'
        return super().formatMessage(record)


def _callers() -> list[str]:
    """Return the modules on the stack, from the one that logs or prints."""
    frame, found = sys._getframe(1), []
    while frame is not None:
        name = frame.f_globals.get('__name__', '')
        if found or name not in BETWEEN:
            found.append(name)
        frame = frame.f_back
    return found
