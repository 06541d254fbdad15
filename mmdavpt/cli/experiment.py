"""Train and test the rows of an experiment table.

    mmdavpt experiment configs/experiments/glyphs_paper.csv --seeds 0 1 2

A row of a table is a config and its changes; a config alone is one row.
Every row runs with every seed in its own folder, WORK_DIR/TABLE/ROW/seed_N,
which holds the merged config (config.py), logs, checkpoints and the result
(run.json). The same command continues after a stop: it skips finished runs
and resumes others.
"""

import argparse
import json
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice, product
from multiprocessing import active_children, get_context
from pathlib import Path

from mmdavpt.errors import UsageError, prefix_errors
from mmdavpt.shipped import locate_config

from . import options
from .experiment_report import report_table, vtab_table
from .experiment_table import Experiment, build_config, read_table, select_rows

STOPPED = 'stopped'


@dataclass(frozen=True)
class Run:
    """One row of a table with one seed.

    Attributes:
        row (Experiment): The row.
        folder (Path): The work folder.
        settings (dict): What the result depends on: seed, protocol (None for
            the config's own), further ``cfg_options``, and row and base.
        name (str): The name of the result's file. Defaults to 'run.json'.
    """

    row: Experiment
    folder: Path
    settings: dict
    name: str = 'run.json'

    def record(self) -> dict | None:
        """Return the result; None if the run is not finished.

        Raises:
            UsageError: If the folder holds a run with other settings.
        """
        file = self.folder / self.name
        if not file.is_file():
            return None
        content = json.loads(file.read_text(encoding='utf-8'))
        # Tuples became lists.
        if content['settings'] != json.loads(json.dumps(self.settings)):
            raise UsageError(
                f'{self.folder} holds a run with other settings; choose '
                'another --work-dir, or delete that folder'
            )
        return content if 'metrics' in content else None

    def write(self, **results) -> None:
        """Write the settings, and the results if there are any.

        Args:
            **results: JSON values.
        """
        from mmdavpt.checkpoints import atomic_write

        content = dict(settings=self.settings, **results)
        with atomic_write(str(self.folder / self.name)) as partial:
            Path(partial).write_text(json.dumps(content, indent=1), 'utf-8')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of experiments."""
    add = parser.add_argument
    add_table_arguments(parser)
    add('--list', action='store_true', help='print the rows and stop')
    add('--dry-run', action='store_true', help='build every config and stop')


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of commands that train the rows of a table."""
    add = parser.add_argument
    text = 'a config, or a CSV file as in configs/experiments'
    add('table', type=locate_config, help=text)
    add('--rows', nargs='+', help='names, parts of names or globs (all rows)')
    add('--seeds', nargs='+', type=int, default=[0], help='random seeds (0)')
    add('--work-dir', default='work_dirs', help='root of all runs (work_dirs)')
    add('--workers', type=int, default=1, help='runs at the same time (1)')
    add('--report', action='store_true', help='only print the results so far')
    options.add_shared(parser, '--protocol', '--cfg-options', '--verbose')


def run(args: argparse.Namespace) -> int:
    """Run all unfinished rows, and print the results as a table.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        int: The exit status: 1 if a run failed, else 0.
    """
    rows = select_rows(read_table(args.table), args.rows)
    if args.list:
        for row in rows:
            print(f'{row.name}: {row.base.name} {row.changes}')
        return 0
    runs = list_runs(rows, args)
    pending = [run for run in runs if run.record() is None]
    if args.dry_run:
        for run in runs:
            build_config(run.row, run.settings['seed'])
            print(run.folder, 'pending' if run in pending else 'finished')
        return 0
    pending = [] if args.report else pending
    work = partial(train_and_test, verbose=args.verbose)
    failures = run_all(pending, args.workers, work)
    records = finished(runs)
    print(report_table(records, {row.name: row.compare for row in rows}))
    if records and any('task' in row.changes for row in rows):
        print(f'\n{vtab_table(records)}')
    return int(bool(failures))


def list_runs(rows: list[Experiment], args: argparse.Namespace) -> list[Run]:
    """Return all rows with all seeds, seed by seed.

    An interrupted command thus leaves every row with some seeds.

    Args:
        rows (list[Experiment]): The rows.
        args (argparse.Namespace): See :func:`add_arguments`.

    Raises:
        UsageError: If the base of a row cannot be read.
    """
    root = Path(args.work_dir, Path(args.table).stem)
    shared = dict(protocol=args.protocol, cfg_options=args.cfg_options or {})
    runs = []
    for seed, row in product(args.seeds, rows):
        name = re.sub(r'[^\w.+-]+', '-', row.name).strip('-')
        name += f'_{args.protocol}' if args.protocol else ''
        own = dict(row=row.name, base=row.base.name, changes=row.changes)
        # Another base of this name, or an edited one, is another experiment.
        with prefix_errors(f'row {row.name!r}', OSError):
            digest = sha256(row.base.read_bytes()).hexdigest()[:16]
        settings = dict(**own, base_sha256=digest, seed=seed, **shared)
        runs.append(Run(row, root / name / f'seed_{seed}', settings))
    return runs


def run_all(
    runs: Sequence[Run], workers: int, work: Callable[[Run], str | None]
) -> list[str]:
    """Work on runs; a failure does not prevent the others.

    Args:
        runs (Sequence[Run]): Unfinished runs.
        workers (int): How many run at the same time, each in a process.
        work (Callable): Returns the reason of a failure of a run, else None.

    Returns:
        list[str]: The failures.
    """
    outcomes: Iterable = ((run, work(run)) for run in runs)
    if workers > 1:
        outcomes = _in_processes(runs, workers, work)
    failures = []
    for i, (run, failure) in enumerate(outcomes, 1):
        outcome = f'{run.folder}: {failure or "finished"}'
        sys.stderr.write(f'{i}/{len(runs)} {outcome}\n')
        failures += [failure] if failure else []
        if failure == STOPPED:
            break
    return failures


def _in_processes(
    runs: Sequence[Run], workers: int, work: Callable[[Run], str | None]
) -> Iterator[tuple[Run, str | None]]:
    """Yield each run with its failure; on SIGTERM, start no more of them."""
    before = signal.signal(signal.SIGTERM, _stop_workers)
    waiting = iter(runs)
    try:
        with ProcessPoolExecutor(workers, get_context('spawn')) as pool:
            start = partial(pool.submit, work)
            # A longer queue would be worked off after the signal.
            started = {start(run): run for run in islice(waiting, workers)}
            while started:
                for future in wait(started, return_when=FIRST_COMPLETED).done:
                    yield started.pop(future), future.result()
                    if (run := next(waiting, None)) is not None:
                        started[start(run)] = run
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop_workers(*_) -> None:
    """Pass SIGTERM on: workers that outlive us would train more runs."""
    for worker in active_children():
        worker.terminate()  # a SIGTERM, on which a run saves and stops


def train_and_test(run: Run, *hooks, verbose: bool = False) -> str | None:
    """Train a run as ``train.py`` does, test it, and write its metrics.

    Args:
        run (Run): An unfinished run.
        *hooks (Hook): Further hooks of the runner.
        verbose (bool): See :func:`.quiet_console`. Defaults to False.

    Returns:
        str | None: The reason of a failure, else None.
    """
    from .console import quiet_console

    with quiet_console(verbose):
        try:
            return _train_and_test(run, *hooks)
        except Exception as error:
            if not isinstance(error, UsageError):
                traceback.print_exc()
            return f'{type(error).__name__}: {error}'


def _train_and_test(run: Run, *hooks) -> str | None:
    import numpy as np

    from . import common, train
    from .experiment_record import CostHook, describe_run

    run.write()
    # Without the changes of --protocol and --cfg-options, which come later;
    # the runner writes the merged config to the folder of the run.
    config = run.folder / 'row' / 'config.py'
    config.parent.mkdir(exist_ok=True)
    build_config(run.row, run.settings['seed']).dump(config)
    flags = [str(config), '--work-dir', str(run.folder)]
    flags += ['--resume'] * (run.folder / 'last_checkpoint').is_file()
    args = options.parse_arguments(train.add_arguments, flags)
    changes = run.settings['cfg_options'], run.settings['protocol']
    cfg = common.load_config(str(config), *changes)
    # mmengine's loggers and visualizers are global, one for each name.
    cfg.experiment_name = str(run.folder).replace('/', '_')
    runner = train.train(cfg, args, [CostHook(), *hooks])
    if runner is None:
        return STOPPED
    # With save_best, as under the protocol 'tune', a run is judged by its
    # validation images; the test images stay untouched.
    best = runner.message_hub.runtime_info.get('best_score')
    metrics = runner.test() if best is None else {'best val': best}
    run.write(
        **describe_run(runner),
        tuned=run.row.tuned or None,
        # Without arrays such as a confusion matrix.
        metrics={k: float(v) for k, v in metrics.items() if np.size(v) == 1},
    )
    return None


def finished(runs: Sequence[Run]) -> dict[str, dict[int, dict]]:
    """Return row to seed to the content of ``run.json``, of finished runs.

    Args:
        runs (Sequence[Run]): The runs.
    """
    records: dict[str, dict[int, dict]] = {}
    for run in runs:
        if record := run.record():
            records.setdefault(run.row.name, {})[run.settings['seed']] = record
    return records
