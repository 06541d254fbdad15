"""Write the measured tables of docs/results.md from committed runs.

    python benchmarks/results.py             # rewrite tables and pictures
    python benchmarks/results.py --check     # fail if a table is out of date
    python benchmarks/results.py --collect work_dirs/birds benchmarks/arena

The page is prose with places such as `<!-- main: arena/birds *, 5 images -->`
... `<!-- end -->`, and only the text between is rewritten. A place has a kind
(see `KINDS`), a table, and maybe a pattern of rows as in `mmdavpt experiment
--rows`; `ROWS - ROW` compares them with that row. The table arena/birds is
benchmarks/arena/birds.csv, or birds.csv in configs/experiments/; its runs are
benchmarks/arena/results/birds/*.json, which the third command copies from a
work folder.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(ROOT))

from mmdavpt.cli import experiment_report as report  # noqa: E402
from mmdavpt.cli.experiment_table import read_table, select_rows  # noqa: E402
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402

sys.path.insert(0, str(ROOT / 'tools' / 'analysis_tools'))
from experiment_plot import plot_records  # noqa: E402

PLACE = re.compile(
    r'(<!-- (?P<kind>\w+): (?P<table>\S+) ?(?P<rows>[^\n]*?) -->)(?P<line>\n?)'
    r'.*?(<!-- end -->)',
    re.DOTALL,
)


class Results(NamedTuple):
    """Committed runs of a table, and which of them are shown."""

    shown: report.Records
    every: report.Records
    compare: Mapping[str, str]


def read_results(root: Path, name: str, pattern: str = '') -> Results:
    """Read the committed runs of a table.

    A row without `compare` is compared with `vpt` in the same condition:
    `lora, 5 images` with `vpt, 5 images`.

    Args:
        root (Path): The folder of the repository.
        name (str): The table, such as arena/birds.
        pattern (str): Name, part of a name or glob. Defaults to all rows.

    Raises:
        UsageError: If a run is of no row, has other settings than its row,
            occurs twice, or has another protocol or other options than the
            other runs.
    """
    table = root / 'benchmarks' / name
    files = sorted((table.parent / 'results' / table.name).glob('*.json'))
    if not files:
        return Results({}, {}, {})
    in_configs = root / 'configs/experiments' / f'{table.name}.csv'
    csv = table.with_suffix('.csv')
    rows = read_table(csv if csv.is_file() else in_configs)
    every: dict[str, dict[int, dict]] = {row: {} for row in rows}
    shared: dict[str, Path] = {}
    for file in files:
        run = json.loads(file.read_text(encoding='utf-8'))
        settings = run['settings']
        row, seed = settings['row'], settings['seed']
        found, expected = (settings['base'], settings['changes']), None
        if row in rows:
            own = json.loads(json.dumps(without_folders(rows[row].changes)))
            expected = rows[row].base.name, own
        if found != expected or seed in every[row]:
            raise UsageError(
                f'{file} should be the only run of seed {seed} with the '
                f'settings of row {row!r} of {csv.name}; delete the file, or '
                'restore the row'
            )
        every[row][seed] = run
        common = settings.get('protocol'), settings.get('cfg_options')
        shared.setdefault(json.dumps(common, sort_keys=True), file)
    if len(shared) > 1:
        raise UsageError(
            'all runs of a table should have the same --protocol and '
            f'--cfg-options, but {" and ".join(map(str, shared.values()))} '
            'have not'
        )
    compare = {}
    for row in rows:
        _, comma, condition = row.partition(', ')
        base = rows[row].compare or f'vpt{comma}{condition}'
        compare[row] = '' if base == row or base not in rows else base
    every = {row: of_seed for row, of_seed in every.items() if of_seed}
    pattern, minus, base = pattern.partition(' - ')
    if minus:
        base = rows[base].name  # a KeyError if there is no such row
        compare = {row: '' if row == base else base for row in rows}
    names = [r.name for r in select_rows(rows, [pattern] if pattern else None)]
    shown = {row: every[row] for row in names if row in every}
    return Results(shown, every, compare)


def main_table(results: Results) -> str:
    """Return a table of scores, paired differences and costs of each row."""
    return report.report_table(results.shown, results.compare)


def vtab_table(results: Results) -> str:
    """Return a table of both means of VTAB-1k of each method."""
    return report.vtab_table(results.shown)


def search_table(results: Results) -> str:
    """Return the score of each setting, one line for each `method`.

    The best setting of a method, among those with all seeds, is bold.
    """
    metric, values = report.main_scores(results.shown)
    methods: dict[str, list[tuple[str, float, str]]] = {}
    fewer = _fewer_seeds(results)
    for row, scores in values.items():
        settings = next(iter(results.shown[row].values()))['settings']
        method = settings['changes'].get('method', '')
        setting = row.removeprefix(method).strip(' ,') or row
        mean = sum(scores.values()) / len(scores)
        methods.setdefault(method, []).append((setting, mean, fewer[row]))
    lines = []
    for method, found in methods.items():
        complete = [mean for _, mean, note in found if not note]
        best = max(complete or [mean for _, mean, _ in found])
        texts = []
        for setting, mean, note in found:
            text = f'{setting}: {mean:.1f}'
            texts.append((f'**{text}**' if mean == best else text) + note)
        lines.append([method, '; '.join(texts)])
    return report.to_markdown(['method', f'{metric} of each setting'], lines)


def pivot_table(results: Results) -> str:
    """Return a line for each method, and a column for each condition.

    Rows are named `METHOD, CONDITION`: `vpt, 5 images`, `vpt, linear head`. A
    cell has the score, and the 95 % interval of the paired difference.
    """
    metric = report.main_scores(results.shown)[0]
    methods: dict[str, dict[str, str]] = {}
    fewer = _fewer_seeds(results)
    for row, of_seed in results.shown.items():
        scores = [run['metrics'][metric] for run in of_seed.values()]
        interval = _paired(results, row)[1]
        method, _, condition = row.rpartition(', ')
        cell = f'{report.spread(scores)} {interval}'.strip() + fewer[row]
        methods.setdefault(method, {})[condition] = cell
    found = dict.fromkeys(c for cells in methods.values() for c in cells)
    # By their numbers, if they have any: 5, 10 and 20 images.
    conditions = sorted(
        found, key=lambda c: [*map(int, re.findall('[0-9]+', c))]
    )
    lines = [
        [method, *(cells.get(condition, '') for condition in conditions)]
        for method, cells in methods.items()
    ]
    return report.to_markdown([metric, *conditions], lines)


def difference(results: Results) -> str:
    """Return the paired difference of each row with its 95 % interval."""
    pairs = [_paired(results, row)[:2] for row in results.shown]
    return '; '.join(' '.join(pair).strip() for pair in pairs)


def plot(results: Results) -> str:
    """Return the title of a picture; `fill` draws it."""
    return f'{sum(map(len, results.shown.values()))} runs'


def _fewer_seeds(results: Results) -> dict[str, str]:
    """Return a note for rows with fewer seeds than one of their condition."""
    counts = {row: len(of_seed) for row, of_seed in results.shown.items()}
    most: dict[str, int] = {}
    for row, count in counts.items():
        condition = row.partition(', ')[2]
        most[condition] = max(count, most.get(condition, 0))
    notes = {}
    for row, count in counts.items():
        expected = most[row.partition(', ')[2]]
        fewer = count < expected
        notes[row] = f' ({count} of {expected} seeds)' if fewer else ''
    return notes


def _paired(results: Results, row: str) -> tuple[str, str, str]:
    values = report.main_scores(results.every)[1]
    base = results.compare[row]
    return report.paired_difference(values[row], values.get(base, {}))


KINDS = dict(
    main=main_table,
    vtab=vtab_table,
    search=search_table,
    pivot=pivot_table,
    difference=difference,
    plot=plot,
)


def fill(page: str, root: Path, draw: bool = True) -> str:
    """Return a page with the text of all places as the runs give it.

    Args:
        page (str): The page.
        root (Path): The folder of the repository.
        draw (bool): Whether to draw pictures too. Defaults to True.

    Raises:
        UsageError: If a place has no end or no known kind, or see
            `read_results`.
    """

    def text_of(place: re.Match) -> str:
        results = read_results(root, place['table'], place['rows'])
        text = 'Not measured yet.'
        if results.shown:
            text = KINDS[place['kind']](results)
        if results.shown and place['kind'] == 'plot':
            title = f'{place["table"]} {place["rows"]}'.strip()
            name = re.sub(r'\W+', '_', title).strip('_')
            picture = f'images/{name}.png'
            text = f'![{title}: {text}]({picture})'
            if draw:
                plot_records(results.shown, str(root / 'docs' / picture))
        space = place['line'] * 2  # none in the middle of a line
        return f'{place[1]}{space}{text}{space}{place[6]}'

    found = [place['kind'] for place in PLACE.finditer(page)]
    starts = re.findall(r'<!-- (\w+): ', page)
    if found != starts or not KINDS.keys() >= {*starts}:
        raise UsageError(
            f'every place should be one of {", ".join(KINDS)} and have an '
            f'<!-- end -->, but the page has {starts}, and with an end {found}'
        )
    return PLACE.sub(text_of, page)


def collect(source: Path, target: Path) -> tuple[int, int]:
    """Copy finished runs; return the numbers of these and of the others.

    Args:
        source (Path): The work folder of a table.
        target (Path): The folder of the table's CSV file.
    """
    files = sorted(source.glob('*/seed_*/run.json'))
    runs = [json.loads(file.read_text(encoding='utf-8')) for file in files]
    folder = target / 'results' / source.name
    finished = 0
    for file, run in zip(files, runs, strict=True):
        if 'metrics' in run:
            finished += 1
            folder.mkdir(parents=True, exist_ok=True)
            name = f'{file.parts[-3]}_{file.parts[-2]}.json'
            text = json.dumps(without_folders(run), indent=1)
            (folder / name).write_text(f'{text}\n', encoding='utf-8')
    return finished, len(runs) - finished


def without_folders(value: object) -> object:
    """Return a JSON value in which absolute paths have lost their folders.

    Args:
        value (object): The value.
    """
    if isinstance(value, dict):
        return {k: without_folders(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(v) for v in value]
    is_path = isinstance(value, str) and PurePath(value).is_absolute()
    return PurePath(value).name if is_path else value


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write or check the page, or collect runs.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            `sys.argv[1:]`.
        root (Path): The folder of the repository. Defaults to ours.

    Returns:
        int: 1 if the page is out of date, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--check', action='store_true', help='fail if the page is old')
    add('--collect', nargs=2, type=Path, metavar=('WORK', 'FOLDER'))
    args = parser.parse_args(argv)
    if args.collect:
        print(
            'copied {} finished runs; {} unfinished'.format(
                *collect(*args.collect)
            )
        )
        return 0
    page = root / 'docs/results.md'
    old = page.read_text(encoding='utf-8')
    with exit_with_sentence():
        new = fill(old, root, draw=not args.check)
    if args.check and new != old:
        print(f'{page} is out of date; run python benchmarks/results.py')
        return 1
    if not args.check:
        page.write_text(new, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
