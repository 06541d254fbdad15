"""A quiet terminal: what libraries note goes to the log file only.

Shown are results, warnings and this package's own lines. Everything is
installed by :func:`quiet_console` and removed at its end.
"""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
#: Lines of the terminal: notes, and records above the level INFO.
FORMATTERS = [
    logging.Formatter(f'%(asctime)s {level}%(message)s', '%H:%M:%S')
    for level in ('', '%(levelname)s: ')
]


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

    def call_handlers(logger: MMLogger, record: logging.LogRecord) -> None:
        notes.log(logger.handlers, record)

    with (
        patch.object(MMLogger, 'callHandlers', call_handlers),
        # It prints what libraries log without a logger.
        patch.object(mmengine_logging, 'print', notes.add, create=True),
        patch.object(warnings, 'showwarning', notes.add_warning),
    ):
        yield


class Notes:
    """Keep the notes of libraries until a run has a log file."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.file: logging.Handler | None = None

    def log(
        self, handlers: list[logging.Handler], record: logging.LogRecord
    ) -> None:
        """Write a record to the file, and show it if it matters.

        Args:
            handlers (list[logging.Handler]): Those of the logger.
            record (logging.LogRecord): The record.
        """
        shown = is_shown(record)
        for handler in handlers:
            if isinstance(handler, logging.FileHandler):
                self.file = handler
                self.add()
            elif shown:
                important = record.levelno > logging.INFO
                handler.setFormatter(FORMATTERS[important])
            else:
                continue
            if record.levelno >= handler.level:
                handler.handle(record)

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
        self, message: Warning | str, category: type[Warning], *place
    ) -> None:
        """Show a warning as one line, except what a user cannot change.

        Args:
            message (Warning | str): See :func:`warnings.showwarning`.
            category (type[Warning]): See there.
            *place: The file, the line, and what else is passed there.
        """
        text = ' '.join(str(message).split())
        self.add(f'{place[0]}:{place[1]}: {category.__name__}: {text}')
        modules = callers()
        ignored = (
            issubclass(category, (DeprecationWarning, FutureWarning))
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
    shown = any(
        s in module for s in ('.hooks.', '.evaluation.', '.evaluator.')
    )
    return text.startswith('resumed epoch') or (
        shown and 'Exp name' not in text
    )


def callers() -> list[str]:
    """Return the modules on the stack, from the one that logs or prints."""
    frame, found = sys._getframe(1), []
    while frame is not None:
        name = frame.f_globals.get('__name__', '')
        if found or name not in BETWEEN:
            found.append(name)
        frame = frame.f_back
    return found
