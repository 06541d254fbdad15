"""Check a config, its data and its weights without training.

    mmdavpt check configs/setr_davpt_ade20k.py

checks the config, decodes every image and label for the data report, and
rehearses one step, one validation batch and one checkpoint. The report goes
to stdout and to WORK_DIR/data_report.

The exit status is 0 without errors (there may be warnings), 1 if the data
report has errors, and 2 if the config or the command line has.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmdavpt.errors import UsageError

from . import options

SPLITS = ('train', 'val', 'test')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a check."""
    options.add_config_arguments(parser, 'path of the config or folder')
    options.add_folder_arguments(parser)
    options.add_shared(parser, '--protocol')
    options.add_run_arguments(parser)
    add, count = parser.add_argument, options.positive
    add('--data-only', action='store_true', help='make only the data report')
    text = 'the datasets to check (all that the config has)'
    add('--splits', nargs='+', choices=SPLITS, default=SPLITS, help=text)
    add('--workers', type=count, default=2, help='threads that decode (2)')


def run(args: argparse.Namespace) -> int:
    """Check a training.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        int: The exit status: 1 if the data report has errors, else 0.
    """
    from mmdavpt.checks.preflight import preflight

    from . import common, train

    args.resume, args.check_only, args.no_check = None, True, False
    cfg = train.load(args)
    common.apply_command_line(cfg, args)
    splits = [s for s in args.splits if cfg.get(f'{s}_dataloader')]
    if not splits:
        wanted = ' or '.join(args.splits)
        raise UsageError(f'{args.config} has no dataset for {wanted}')
    if not args.data_only:
        preflight(cfg, training=True)
    text, failed = report_data(cfg, splits, args.workers)
    print(text)
    if not (failed or args.data_only):
        train.train(cfg, args)
    return int(failed)


def report_data(
    cfg: dict, splits: Sequence[str], workers: int
) -> tuple[str, bool]:
    """Report on the data of a config, also as JSON and as an HTML page.

    Args:
        cfg (dict): The config with its ``work_dir``.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.
        workers (int): The number of threads.

    Returns:
        tuple[str, bool]: The report as text, and whether it has errors.
    """
    from mmdavpt.checks.data.report import make_report

    from .data_report.page import write_page
    from .data_report.text import write_json, write_text

    report = make_report(cfg, splits, workers)
    folder = Path(cfg.get('work_dir') or '', 'data_report')
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / 'report.html'
    page.write_text(write_page(report), 'utf-8')
    (folder / 'report.json').write_text(write_json(report), 'utf-8')
    failed = any(f.severity == 'error' for f in report.all_findings)
    return f'{write_text(report)}\n\n{page} shows samples', failed
