"""The paper's classification experiments, its numbers, and tables of both."""

import csv
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from released_settings import CONFIGS, WEIGHTS

from mmdavpt.datasets.fgvc.sets import SETS
from mmdavpt.datasets.vtab1k.tasks import TASKS

METHODS = {'davpt': 'DA-VPT', 'davpt-plus': 'DA-VPT+'}
SUITES = {'vtab': 'VTAB-1k', 'fgvc': 'FGVC'}
Results = Dict[Tuple[str, str, str, str], Tuple[str, str]]


class Experiment(NamedTuple):
    """A data set, with what the configs say of it.

    Attributes:
        suite (str): 'vtab' or 'fgvc'.
        task (str): Its name in the tables and in file names.
        title (str): Its name in the paper.
        group (str): The group of the paper's mean that it belongs to.
    """

    suite: str
    task: str
    title: str
    group: str

    @property
    def base(self) -> str:
        """str: The base config of the data, without suffix."""
        folder = 'vtab1k' if self.suite == 'vtab' else 'fgvc'
        return f'_base_/datasets/{folder}/{self.task}'

    @property
    def name(self) -> str:
        """str: Its name in a sentence."""
        return ('VTAB-1k ' if self.suite == 'vtab' else '') + self.title

    def leaf(self, weights: str, method: str) -> str:
        """Return the path of a config below ``configs``."""
        kind = 'vtab-' if self.suite == 'vtab' else ''
        return (
            f'{self.suite}/{weights}/'
            f'{method}_vit-b-{weights}_{kind}{self.task}.py'
        )


def experiments() -> List[Experiment]:
    """Return the 24 data sets of the paper's Table 1."""
    return [
        *(
            Experiment('vtab', t.name, t.title, t.group)
            for t in TASKS.values()
        ),
        *(Experiment('fgvc', s.name, s.title, 'FGVC') for s in SETS.values()),
    ]


def read_results() -> Results:
    """Read the paper's numbers.

    Returns:
        Dict[Tuple[str, str, str, str], Tuple[str, str]]: (suite, weights,
        method, task) to the number, as printed, and where the paper has it.
    """
    with open(CONFIGS / 'paper_results.csv', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    return {
        (row['suite'], row['weights'], row['method'], row['task']): (
            row['value'],
            row['source'],
        )
        for row in rows
    }


def paper_line(
    results: Results, experiment: Experiment, weights: str, method: str
) -> str:
    """Return what the paper reports for an experiment, as a sentence."""
    suite = experiment.suite
    found = results.get((suite, weights, method, experiment.task))
    if found is not None:
        return f'top-1 {found[0]} ({found[1]}).'
    key = experiment.group if suite == 'vtab' else 'mean'
    value, source = results[suite, weights, method, key]
    of = f'{key} tasks' if suite == 'vtab' else 'five sets'
    return f'no number of its own; mean of the {of} {value} ({source}).'


def readme_table(results: Results, suite: str, weights: str) -> str:
    """Return the table of one suite and one backbone."""
    lines = [
        '| data | config | paper, DA-VPT | paper, DA-VPT+ | here |',
        '|---|---|---|---|---|',
    ]
    for each in experiments():
        if each.suite != suite:
            continue
        numbers = [
            results.get((suite, weights, method, each.task), ('-',))[0]
            for method in METHODS
        ]
        name = Path(each.leaf(weights, 'davpt')).name
        lines.append(
            f'| {each.title} | [{name}]({weights}/{name}) | '
            f'{" | ".join(numbers)} | not run |'
        )
    return '\n'.join(lines)


def with_tables(text: str, results: Results, suite: str) -> str:
    """Replace the tables of a README, between their markers.

    Args:
        text (str): The README, with ``<!-- table W -->`` and
            ``<!-- end W -->`` for each kind of weights.
        results (Results): The paper's numbers.
        suite (str): 'vtab' or 'fgvc'.
    """
    for weights in WEIGHTS:
        start, end = f'<!-- table {weights} -->', f'<!-- end {weights} -->'
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        table = readme_table(results, suite, weights)
        text = f'{before}{start}\n\n{table}\n\n{end}{after}'
    return text
