"""Tables of finished experiments: means, paired differences and costs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import product

#: The metric of a table is the first of these that its runs have.
MAIN_METRICS = ('mIoU', 'accuracy/top1')
#: Titles of the statistics of :func:`paired_difference`.
PAIRED = ('difference', '95 % interval', 't')
#: Title of a cost that counts if rows differ in it.
IMAGES = 'training images'
#: Field of a run -> its title, and the divisor that makes its unit.
COSTS = {
    'num_trainable_params': ('parameters', 1),
    'train_time': ('training time (s)', 1),
    'accelerator_memory_max': ('GPU memory (MiB)', 2**20),
    'num_train_images': (IMAGES, 1),
}
#: Row to seed to the content of ``run.json``.
Records = Mapping[str, Mapping[int, Mapping]]


def report_table(records: Records, compare: Mapping[str, str]) -> str:
    """Return a Markdown table of the rows that have results.

    Args:
        records (Mapping): Row to seed to the content of ``run.json``.
        compare (Mapping[str, str]): Row to the row that it is compared with;
            '' for none.
    """
    if not records:
        return 'no run is finished'
    metric, values = main_scores(records)
    costs = median_costs(records)
    titles = ['row', 'seeds', metric, 'compared with', *PAIRED, *costs]
    lines = []
    for row, of_seed in values.items():
        base = compare[row]
        paired = paired_difference(of_seed, values.get(base, {}))
        first = [row, str(len(of_seed)), spread(list(of_seed.values()))]
        last = [f'{c[row]:,.0f}' if row in c else '' for c in costs.values()]
        lines.append([*first, base, *paired, *last])
    return to_markdown(titles, lines)


def to_markdown(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table.

    Args:
        titles (Sequence[str]): Titles of the columns.
        lines (Sequence[Sequence[str]]): Cells of each line.
    """
    table = [titles, ['---'] * len(titles), *lines]
    return '\n'.join(f'| {" | ".join(line)} |' for line in table)


def main_scores(records: Records) -> tuple[str, dict[str, dict[int, float]]]:
    """Return the main metric's name, and row to seed to its value.

    Args:
        records (Mapping): Row to seed to the content of ``run.json``.
    """
    runs = [run for of_seed in records.values() for run in of_seed.values()]
    # In the order of the runs: that of a set would differ in each process.
    found = dict.fromkeys(name for run in runs for name in run['metrics'])
    metric = next(name for name in (*MAIN_METRICS, *found) if name in found)
    return metric, {
        row: {seed: run['metrics'][metric] for seed, run in of_seed.items()}
        for row, of_seed in records.items()
    }


def median_costs(records: Records) -> dict[str, dict[str, float]]:
    """Return the title of each known cost to row to its median over seeds.

    A seed that trained on a busy machine hardly moves a median.

    Args:
        records (Mapping): Row to seed to the content of ``run.json``. Files
            of earlier versions lack some costs.
    """
    medians: dict[str, dict[str, float]] = {}
    for (field, (title, unit)), row in product(COSTS.items(), records):
        runs = records[row].values()
        if found := [run[field] / unit for run in runs if run.get(field)]:
            medians.setdefault(title, {})[row] = statistics.median(found)
    if len({*medians.get(IMAGES, {}).values()}) < 2:
        medians.pop(IMAGES, None)
    return medians


def vtab_table(records: Records) -> str:
    """Return a Markdown table of both means over the tasks of VTAB-1k.

    The paper reports the mean of the three group means, in which a specialized
    task counts twice as much as a structured one; others report the mean of
    the 19 tasks. A seed counts if it has finished all tasks.

    Args:
        records (Mapping): Row to seed to the content of ``run.json``. The
            variable ``task`` is a row's task, and the row's name without it
            is its method.

    Returns:
        str: The table; '' if no seed counts.
    """
    from mmdavpt.datasets.vtab1k import GROUPS, TASKS

    found: dict[tuple[str, int], dict[str, float]] = {}
    for row, scores in main_scores(records)[1].items():
        for seed, score in scores.items():
            task = records[row][seed]['settings']['changes'].get('task')
            method = row.replace(str(task), '').rstrip('_-')
            found.setdefault((method, seed), {})[str(task)] = score
    means: dict[str, list[list[float]]] = {}
    for (method, _), scores in found.items():
        if scores.keys() == TASKS.keys():
            groups = [[scores[task] for task in g] for g in GROUPS.values()]
            of_group = [*map(statistics.mean, groups)]
            both = map(statistics.mean, (of_group, scores.values()))
            means.setdefault(method, []).append([*of_group, *both])
    titles = 'method', 'seeds', *GROUPS, 'mean of groups', 'mean of tasks'
    lines = [
        [method, str(len(seeds)), *map(spread, zip(*seeds, strict=True))]
        for method, seeds in means.items()
    ]
    return to_markdown(titles, lines) if lines else ''


def spread(values: Sequence[float]) -> str:
    """Return mean and sample standard deviation, such as '50.5 ± 0.3'."""
    if len(values) < 2:
        return f'{values[0]:.1f}'
    return f'{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}'


def paired_difference(
    scores: Mapping[int, float], base: Mapping[int, float]
) -> tuple[str, str, str]:
    """Return statistics of paired differences.

    Runs with the same seed see the images in the same order and start from
    the same values.

    Args:
        scores (Mapping[int, float]): Seed to metric.
        base (Mapping[int, float]): Seed to metric of the row to compare with.

    Returns:
        tuple[str, str, str]: Mean ± standard deviation; the 95 % confidence
        interval of the mean (Student's t); and t, the mean over its standard
        error. An interval without 0 is a significant difference.
    """
    paired = [scores[seed] - base[seed] for seed in scores if seed in base]
    if len(paired) < 2:
        return ' '.join(f'{value:+.1f}' for value in paired), '', ''
    from scipy.stats import t as student

    mean, deviation = statistics.mean(paired), statistics.stdev(paired)
    error = deviation / math.sqrt(len(paired))
    half = student.ppf(0.975, len(paired) - 1) * error
    return (
        f'{mean:+.1f} ± {deviation:.1f}',
        f'[{mean - half:+.1f}, {mean + half:+.1f}]',
        f'{mean / error:.1f}' if error else '',
    )
