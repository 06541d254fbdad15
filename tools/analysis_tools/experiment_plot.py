"""Plot finished experiments: the main metric against costs or images.

    python tools/analysis_tools/experiment_plot.py TABLE costs.png

The other arguments are those of ``mmdavpt experiment``.
"""

import argparse
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmdavpt.cli import options  # noqa: E402
from mmdavpt.cli.experiment import (  # noqa: E402
    add_table_arguments,
    finished,
    list_runs,
)
from mmdavpt.cli.experiment_report import (  # noqa: E402
    IMAGES,
    Records,
    main_scores,
    median_costs,
)
from mmdavpt.cli.experiment_table import read_table, select_rows  # noqa: E402
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the rows that no other row beats, from cheap to costly.

    A row beats another if it costs no more and scores no less, and one of
    the two is better.

    Args:
        points (Mapping[str, tuple[float, float]]): Row to cost and score.
    """
    return [
        row
        for row, (x, y) in sorted(points.items(), key=lambda item: item[1])
        if all(c > x or s < y or (c, s) == (x, y) for c, s in points.values())
    ]


def method_of(row: str) -> str:
    """Return a row's name without its number of images per class.

    Args:
        row (str): The name: 'VPT, 5 images' and 'VPT, 10 images per class'
            are both 'VPT'.
    """
    return re.sub(r',? *\b\d+ images( per class)?', '', row)


def plot_records(records: Records, path: str) -> None:
    """Plot the main metric.

    If rows differ in their number of training images, they are plotted
    against it, with a line for each method. Otherwise, they are plotted
    against every known cost, with the Pareto front. Points are mean scores
    and median costs over seeds, bars are standard deviations.

    Args:
        records (Mapping): Row to seed to the content of ``run.json``.
        path (str): The picture to write.
    """
    from matplotlib.figure import Figure

    metric, values = main_scores(records)
    costs = median_costs(records)
    images = {k: v for k, v in costs.items() if k == IMAGES}
    costs = images or costs
    labels = {row: method_of(row) if images else row for row in records}
    # A label looks the same in all panels.
    order = [*dict.fromkeys(labels.values())]
    figure = Figure(figsize=(5 * len(costs) + 2, 5), layout='constrained')
    panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axes, (title, of_row) in zip(panels, costs.items(), strict=True):
        points, lines = {}, {}
        for row in sorted(of_row, key=of_row.get):
            scores = [*values[row].values()]
            points[row] = of_row[row], statistics.mean(scores)
            bar = statistics.stdev(scores) if len(scores) > 1 else 0
            lines.setdefault(labels[row], []).append((*points[row], bar))
        for key in sorted(lines, key=order.index):
            i = order.index(key)
            style = f'C{i % 10}{"os^Dv"[i // 10 % 5]}-'
            axes.errorbar(*zip(*lines[key], strict=True), fmt=style, label=key)
        axes.set(xscale='log', xlabel=title, ylabel=metric)
        if images:
            numbers = sorted({round(number) for number in of_row.values()})
            axes.minorticks_off()
            axes.set_xticks(numbers, numbers)
        else:
            front = [points[row] for row in pareto_front(points)]
            label = dict(label='Pareto front', markersize=10, fillstyle='none')
            axes.plot(*zip(*front, strict=True), 'ko--', **label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside right')
    figure.savefig(path, dpi=120)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this tool."""
    add_table_arguments(parser)
    parser.add_argument('picture', help='the file to write, such as costs.png')


def main(argv: Sequence[str] | None = None) -> None:
    """Plot the finished runs of a table.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.
    """
    args = options.parse_arguments(add_arguments, argv)
    with exit_with_sentence(OSError, ValueError):
        rows = select_rows(read_table(args.table), args.rows)
        records = finished(list_runs(rows, args))
        if not records:
            raise UsageError(f'no run of {args.table} is finished')
        plot_records(records, args.picture)


if __name__ == '__main__':
    main()
