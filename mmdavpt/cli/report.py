"""Compare finished trainings on one HTML page.

    mmdavpt report work_dirs/birds work_dirs/birds-vpt --out report.html

tests the last checkpoint of each run again, so call it where they were
trained. The page needs no other file and no network.
"""

import argparse
from pathlib import Path

from . import options
from .messages import exit_with_sentence


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a report."""
    add, kind = parser.add_argument, options.existing_path
    text = 'work folders of trainings with the same classes'
    add('runs', nargs='+', metavar='RUN', type=kind, help=text)
    add('--out', default='report.html', help='the page (report.html)')
    options.add_shared(parser, '--verbose')


def run(args: argparse.Namespace) -> None:
    """Write a report.

    Args:
        args (argparse.Namespace): The arguments.
    """
    from .console import quiet_console

    with quiet_console(args.verbose), exit_with_sentence(OSError):
        from .run_report.page import write_page

        Path(args.out).write_text(write_page([*map(Path, args.runs)]), 'utf-8')
    print(f'report: {args.out}')
