"""Search the settings that validate best.

    mmdavpt search work_dirs/birds/birds.py \\
        --space configs/experiments/search_recommended.json

Each row of a table has its own study, with the same number of trials, in
WORK_DIR/TABLE/ROW/seed_N: study.json has the values and scores of all trials;
trial_N is a run as of `mmdavpt experiment`. The same command continues after
a stop; started several times, the processes share the trials. Test images
are not read.
"""

import argparse
from functools import partial
from importlib.util import find_spec

from mmdavpt.errors import UsageError
from mmdavpt.shipped import locate_config

from . import options
from .experiment import add_table_arguments, run_all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a search."""
    add, count = parser.add_argument, options.positive
    add_table_arguments(parser)
    text = 'a JSON file, or mmdavpt:: and its path (configs/README.md)'
    add('--space', required=True, type=locate_config, help=text)
    add('--trials', type=count, default=20, help='trials of each row (20)')


def run(args: argparse.Namespace) -> int:
    """Run the missing trials, and print the best settings of each row.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        int: The exit status: 1 if a trial failed, else 0.
    """
    if find_spec('optuna') is None:
        raise UsageError('needs optuna: pip install "mmdavpt[search]"')
    from .search_study import describe, list_studies, run_trial

    studies = list_studies(args)
    # An interrupted command leaves every row with some trials.
    turns = [] if args.report else studies * args.trials
    work = partial(run_trial, trials=args.trials, verbose=args.verbose)
    failures = run_all(turns, args.workers, work)
    print('\n'.join(describe(study) for study in studies))
    return int(bool(failures))
