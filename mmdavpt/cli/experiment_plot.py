"""A plot of finished experiments: accuracy against cost."""

import statistics
from collections.abc import Mapping

from .experiment_report import Records, main_scores, mean_costs


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


def plot_costs(records: Records, path: str) -> None:
    """Plot the main metric against every known cost.

    Points are means over seeds, bars are standard deviations.

    Args:
        records (Mapping): Row to seed to the content of ``run.json``.
        path (str): The picture to write.
    """
    from matplotlib.figure import Figure

    metric, values = main_scores(records)
    costs = mean_costs(records)
    figure = Figure(figsize=(5 * len(costs) + 2, 5), layout='constrained')
    panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axes, (title, of_row) in zip(panels, costs.items(), strict=True):
        points = {}
        for i, row in enumerate(records):
            if row in of_row:
                scores = [*values[row].values()]
                points[row] = of_row[row], statistics.mean(scores)
                bar = statistics.stdev(scores) if len(scores) > 1 else 0
                # The same in all panels.
                style = f'C{i % 10}{"os^Dv"[i // 10 % 5]}'
                axes.errorbar(*points[row], bar, fmt=style, label=row)
        front = [points[row] for row in pareto_front(points)]
        label = dict(label='Pareto front', markersize=10, fillstyle='none')
        axes.plot(*zip(*front, strict=True), 'ko--', **label)
        axes.set(xscale='log', xlabel=title, ylabel=metric)
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside right')
    figure.savefig(path, dpi=120)
