"""Tables of finished experiments: means and paired differences."""

import math
import statistics
from collections.abc import Mapping, Sequence

#: The metric of a table is the first of these that its runs have.
MAIN_METRICS = ('mIoU', 'accuracy/top1')


def report_table(
    scores: Mapping[str, Mapping[int, Mapping[str, float]]],
    compare: Mapping[str, str],
) -> str:
    """Return a Markdown table of the rows that have results.

    Args:
        scores (Mapping): Row to seed to test metrics.
        compare (Mapping[str, str]): Row to the row that it is compared with;
            '' for none.
    """
    if not scores:
        return 'no run is finished'
    runs = [
        metrics for of_seed in scores.values() for metrics in of_seed.values()
    ]
    found = set().union(*runs)
    metric = next(name for name in (*MAIN_METRICS, *found) if name in found)
    values = {
        row: {seed: metrics[metric] for seed, metrics in runs.items()}
        for row, runs in scores.items()
    }
    lines = [
        f'| row | seeds | {metric} | compared with | difference | t |',
        '|---|---|---|---|---|---|',
    ]
    for row, of_seed in values.items():
        base = compare[row]
        paired = paired_difference(of_seed, values.get(base, {}))
        first = [row, str(len(of_seed)), spread(list(of_seed.values()))]
        lines.append(f'| {" | ".join([*first, base, *paired])} |')
    return '\n'.join(lines)


def spread(values: Sequence[float]) -> str:
    """Return mean and sample standard deviation, such as '50.5 ± 0.3'."""
    if len(values) < 2:
        return f'{values[0]:.1f}'
    return f'{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}'


def paired_difference(
    scores: Mapping[int, float], base: Mapping[int, float]
) -> tuple[str, str]:
    """Return mean ± standard deviation of paired differences, and their t.

    Runs with the same seed see the images in the same order and start from
    the same values. ``t`` is the mean difference over its standard error.
    Student's t for 95 % is 2.8 with five seeds and 4.3 with three.

    Args:
        scores (Mapping[int, float]): Seed to metric.
        base (Mapping[int, float]): Seed to metric of the row to compare with.
    """
    paired = [scores[seed] - base[seed] for seed in scores if seed in base]
    if len(paired) < 2:
        return ' '.join(f'{value:+.1f}' for value in paired), ''
    mean, deviation = statistics.mean(paired), statistics.stdev(paired)
    error = deviation / math.sqrt(len(paired))
    t = f'{mean / error:.1f}' if error else ''
    return f'{mean:+.1f} ± {deviation:.1f}', t
