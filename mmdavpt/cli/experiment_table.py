"""Experiment tables: each row is a config and its changes."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from mmdavpt.config_source import load_with_variables
from mmdavpt.errors import UsageError, did_you_mean
from mmdavpt.shipped import locate_config, register_configs

from .options import parse_value

if TYPE_CHECKING:
    from mmengine.config import Config

#: Columns that change nothing in the config.
NOTES = ('row', 'base', 'compare', 'paper', 'released', 'tuned')


@dataclass(frozen=True)
class Experiment:
    """A row of an experiment table.

    Attributes:
        name (str): The row's name.
        base (Path): The config that it changes.
        changes (dict): Column to value. A column with a dot is a key of the
            merged config; any other is a variable of the base config, set as
            if the file had been edited.
        compare (str): The row to compare it with; '' for none.
        tuned (str): The settings that were chosen by a search, and on which
            images; '' for none.
    """

    name: str
    base: Path
    changes: dict
    compare: str = ''
    tuned: str = ''


def read_table(path: str | Path) -> dict[str, Experiment]:
    """Read an experiment table.

    Args:
        path (str | Path): A CSV file. ``base`` is a path relative to it,
            or ``mmdavpt::`` and the path of a shipped config. An
            empty cell changes nothing; all others are values as in
            ``--cfg-options``. A config is a table of one row, named after
            the file, without changes.

    Returns:
        dict[str, Experiment]: Name to row, in the table's order.

    Raises:
        UsageError: If the file is missing, has no ``row`` and ``base``
            columns, or names a row twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f'the experiment table {path} does not exist')
    if path.suffix == '.py':
        return {path.stem: Experiment(path.stem, path, {})}
    with open(path, encoding='utf-8', newline='') as file:
        lines = list(csv.DictReader(file))
    found = {}
    for line in lines:
        if not line.get('row') or not line.get('base'):
            needed = f'every row of {path} needs a `row` and a `base`'
            raise UsageError(f'{needed}, but got {line}')
        if line['row'] in found:
            raise UsageError(f'{path} has two rows named {line["row"]!r}')
        given = {k: v for k, v in line.items() if v and k not in NOTES}
        changes = {key: parse_value(value) for key, value in given.items()}
        row, base = line['row'], path.parent / locate_config(line['base'])
        notes = {key: line.get(key) or '' for key in ('compare', 'tuned')}
        found[row] = Experiment(row, base, changes, **notes)
    return found


def build_config(experiment: Experiment, seed: int | None = None) -> 'Config':
    """Build the config of a row.

    Args:
        experiment (Experiment): The row.
        seed (int, optional): The random seed. Defaults to None, the seed of
            the base config.

    Returns:
        Config: The merged config.

    Raises:
        UsageError: If the base config does not set a variable of the row.
    """
    keys = {k: v for k, v in experiment.changes.items() if '.' in k}
    variables = {k: v for k, v in experiment.changes.items() if '.' not in k}
    if seed is not None:
        keys['randomness.seed'] = seed
    register_configs()
    cfg = load_with_variables(experiment.base, variables)
    cfg.merge_from_dict(keys)
    return cfg


def select_rows(
    table: Mapping[str, Experiment], patterns: Sequence[str] | None
) -> list[Experiment]:
    """Return the rows that match one of the patterns, in the table's order.

    Args:
        table (Mapping[str, Experiment]): Name to row.
        patterns (Sequence[str], optional): Names, parts of names, or globs.
            Defaults to None, all rows.

    Raises:
        UsageError: If a pattern matches no row.
    """
    if not patterns:
        return list(table.values())
    chosen = set()
    for pattern in patterns:
        found = {pattern} & table.keys()
        found = found or {n for n in table if fnmatchcase(n, f'*{pattern}*')}
        if not found:
            raise UsageError(
                f'--rows: no row matches {pattern!r}'
                f'{did_you_mean(pattern, table)}; --list shows all rows'
            )
        chosen |= found
    return [table[name] for name in table if name in chosen]
