"""Statistics and the plot of finished experiments."""

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.stats import ttest_rel

from mmdavpt.cli.experiment_report import (
    main_scores,
    median_costs,
    paired_difference,
    report_table,
    vtab_table,
)
from mmdavpt.datasets.vtab1k import GROUPS, TASKS

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'
sys.path.insert(0, str(TOOLS))
from experiment_plot import (  # noqa: E402
    method_of,
    pareto_front,
    plot_records,
)


def record(score, **costs):
    return dict(metrics={'mIoU': score, 'aAcc': 0.0}, **costs)


def test_main_metric_does_not_depend_on_hashes():
    names = [f'single-label/{name}' for name in ('recall', 'f1', 'precision')]
    for order in (names, names[::-1], [*names[1:], names[0]]):
        runs = {0: dict(metrics=dict.fromkeys(order, 1.0))}
        assert main_scores(dict(a=runs)) == (order[0], dict(a={0: 1.0}))
    runs[1] = dict(metrics={'x': 0.0, 'accuracy/top1': 2.0, 'mIoU': 3.0})
    assert main_scores(dict(a={1: runs[1]}))[0] == 'mIoU'


def test_report_by_hand():
    records = {
        'base': {0: record(50.0), 1: record(52.0), 2: record(51.0)},
        'guided': {0: record(51.0), 1: record(55.0)},
        'other': {0: record(10.0)},
        'of other': {0: record(12.5)},
    }
    compare = dict(base='', guided='base', other='') | {'of other': 'other'}
    # Files of earlier versions know no costs: no columns.
    assert report_table(records, compare).splitlines() == [
        '| row | seeds | mIoU | compared with | difference | 95 % interval '
        '| t |',
        '| --- | --- | --- | --- | --- | --- | --- |',
        '| base | 3 | 51.0 ± 1.0 |  |  |  |  |',
        # Differences 1 and 3: mean 2, deviation sqrt(2), error 1; Student's
        # quantile with one degree of freedom is tan(0.475 pi) = 12.7.
        '| guided | 2 | 53.0 ± 2.8 | base | +2.0 ± 1.4 | [-10.7, +14.7] '
        '| 2.0 |',
        '| other | 1 | 10.0 |  |  |  |  |',
        '| of other | 1 | 12.5 | other | +2.5 |  |  |',
    ]


def test_interval_of_three_seeds_by_hand():
    # Mean 2, deviation 1, error 1 / sqrt(3), quantile 4.3027: 2 ± 2.484.
    found = paired_difference({0: 1, 1: 2, 2: 3, 9: 7}, {0: 0, 1: 0, 2: 0})
    assert found == ('+2.0 ± 1.0', '[-0.5, +4.5]', '3.5')


def test_equal_differences_have_no_t():
    found = paired_difference({0: 3.0, 1: 4.0}, {0: 1.0, 1: 2.0})
    assert found == ('+2.0 ± 0.0', '[+2.0, +2.0]', '')


values = st.lists(st.floats(0, 100), min_size=2, max_size=6)


@given(st.data())
def test_interval_is_that_of_the_paired_test(data):
    one = data.draw(values)
    other = data.draw(st.lists(st.floats(0, 100), min_size=len(one)))
    other = other[: len(one)]
    test = ttest_rel(one, other)
    if not math.isfinite(test.statistic) or abs(test.statistic) > 1e6:
        return  # equal differences
    low, high = test.confidence_interval(0.95)
    found = paired_difference(dict(enumerate(one)), dict(enumerate(other)))
    assert [float(v) for v in found[1][1:-1].split(',')] == pytest.approx(
        [low, high], abs=0.0501
    )
    assert float(found[2]) == pytest.approx(test.statistic, abs=0.0501)


COSTLY = {
    'LoRA': {
        0: record(80, num_trainable_params=1200, train_time=10.0),
        1: record(82, num_trainable_params=1200, train_time=30.0),
        2: record(81, num_trainable_params=1200, train_time=900.0),
    },
    'full': {0: record(81, num_trainable_params=5000, train_time=None)},
    'bias': {
        0: record(70, num_trainable_params=300, accelerator_memory_max=2**21)
    },
}


def test_costs_are_medians_over_the_seeds_that_know_them():
    assert median_costs(COSTLY) == {
        'parameters': {'LoRA': 1200, 'full': 5000, 'bias': 300},
        'training time (s)': {'LoRA': 30},
        'GPU memory (MiB)': {'bias': 2},
    }
    table = report_table(COSTLY, dict.fromkeys(COSTLY, '')).splitlines()
    titles = '| parameters | training time (s) | GPU memory (MiB) |'
    assert table[0].endswith(titles)
    assert table[2].endswith('| 1,200 | 30 |  |')
    assert table[4].endswith('| 300 |  | 2 |')


def test_pareto_front_by_hand():
    points = dict(
        cheap=(1, 50),
        twin=(1, 50),
        worse=(1, 49),
        middle=(3, 60),
        dear=(4, 60),  # as good as middle, but costs more
        poor=(5, 55),
        best=(9, 61),
    )
    assert pareto_front(points) == ['cheap', 'twin', 'middle', 'best']
    assert pareto_front({}) == []


@given(
    st.dictionaries(
        st.text(max_size=2),
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        min_size=1,
    )
)
def test_front_beats_everything_else(points):
    front = [points[row] for row in pareto_front(points)]
    costs, scores = zip(*front, strict=True)
    assert list(costs) == sorted(costs) and list(scores) == sorted(scores)
    for cost, score in points.values():
        assert any(c <= cost and s >= score for c, s in front)


@pytest.fixture
def drawn(monkeypatch):
    """Return a list of all figures that are saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        'savefig',
        lambda self, *args, **kw: (
            figures.append(self) or save(self, *args, **kw)
        ),
    )
    return figures


def test_plot_by_hand(tmp_path, drawn):
    path = tmp_path / 'costs.png'
    plot_records(COSTLY, str(path))
    assert path.read_bytes().startswith(b'\x89PNG')
    axes = drawn[0].axes
    assert [a.get_xlabel() for a in axes] == [*median_costs(COSTLY)]
    assert {a.get_ylabel() for a in axes} == {'mIoU'}
    fronts = [
        [
            line.get_xydata().tolist()
            for line in a.lines
            if line.get_label() == 'Pareto front'
        ]
        for a in axes
    ]
    # `full` ties with LoRA's mean of 81 and costs more.
    assert fronts == [[[[300, 70], [1200, 81]]], [[[30, 81]]], [[[2, 70]]]]
    (legend,) = drawn[0].legends
    names = sorted(text.get_text() for text in legend.texts)
    assert names == ['LoRA', 'Pareto front', 'bias', 'full']
    # A row looks the same in all panels: `bias` is the third.
    drawn = [axes[i].containers[-1].lines[0] for i in (0, 2)]
    assert {to_hex(line.get_color()) for line in drawn} == {to_hex('C2')}


def test_images_count_only_if_rows_differ():
    same = {row: {0: record(1.0, num_train_images=50)} for row in 'ab'}
    assert median_costs(same) == {}
    other = dict(same, c={0: record(1.0, num_train_images=90)})
    assert median_costs(other) == {'training images': dict(a=50, b=50, c=90)}
    title, *lines = report_table(other, dict.fromkeys('abc', '')).splitlines()
    assert title.endswith(' | t | training images |')
    assert lines[-1].endswith('|  | 90 |')


@pytest.mark.parametrize(
    'row, method',
    [
        ('VPT, 5 images', 'VPT'),
        ('VPT, 5 images per class', 'VPT'),
        ('VPT, 20 images, lr 1e-3', 'VPT, lr 1e-3'),
        ('VPT 5 images', 'VPT'),
        ('VPT 50', 'VPT 50'),
        ('weights 0.5', 'weights 0.5'),
    ],
)
def test_method_is_the_row_without_its_images(row, method):
    assert method_of(row) == method


def test_plot_against_images_by_hand(tmp_path, drawn):
    scores = {
        'VPT, 20 images': (500, [70.0, 74.0]),
        'LoRA, 5 images': (125, [40.0]),
        'VPT, 5 images': (125, [50.0, 53.0]),
        'LoRA, 20 images': (500, [80.0]),
        # A file of an earlier version.
        'LoRA, 10 images': (None, [60.0]),
    }
    records = {
        row: {
            seed: record(score, num_train_images=n, train_time=5.0)
            for seed, score in enumerate(values)
        }
        for row, (n, values) in scores.items()
    }
    path = tmp_path / 'images.png'
    plot_records(records, str(path))
    assert path.read_bytes().startswith(b'\x89PNG')
    (axes,) = drawn[0].axes
    assert axes.get_xlabel() == 'training images'
    lines = {
        bars.get_label(): bars.lines[0].get_xydata().tolist()
        for bars in axes.containers
    }
    assert lines == {
        'VPT': [[125, 51.5], [500, 72.0]],
        'LoRA': [[125, 40.0], [500, 80.0]],
    }
    assert all(
        bars.lines[0].get_linestyle() == '-' for bars in axes.containers
    )
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.texts] == ['VPT', 'LoRA']


def of_tasks(scores, method='VPT', seeds=(0,)):
    """Return a record of every task of a method."""
    return {
        f'{method}_vtab-{task}': {
            seed: dict(
                record(score + seed), settings=dict(changes=dict(task=task))
            )
            for seed in seeds
        }
        for task, score in scores.items()
    }


def test_vtab_means_by_hand():
    groups = dict(natural=7, specialized=4, structured=8)
    assert {group: len(tasks) for group, tasks in GROUPS.items()} == groups
    # 80, 60 and 40: the mean of groups is 60, and that of tasks
    # (7 * 80 + 4 * 60 + 8 * 40) / 19 = 1120 / 19 = 58.95.
    of_group = dict(natural=80.0, specialized=60.0, structured=40.0)
    scores = {name: of_group[task.group] for name, task in TASKS.items()}
    records = of_tasks(scores, seeds=(0, 2))
    records |= of_tasks(scores, 'LoRA', seeds=(5,))
    # One task more, with a seed that lacks the others; and one method that
    # lacks a task; and a row of no task.
    records['VPT_vtab-dtd'][7] = records['VPT_vtab-dtd'][0]
    records |= of_tasks({k: scores[k] for k in [*scores][1:]}, 'bias')
    records['other'] = {0: dict(record(1.0), settings=dict(changes={}))}
    assert vtab_table(records).splitlines() == [
        '| method | seeds | natural | specialized | structured '
        '| mean of groups | mean of tasks |',
        '| --- | --- | --- | --- | --- | --- | --- |',
        '| VPT_vtab | 2 | 81.0 ± 1.4 | 61.0 ± 1.4 | 41.0 ± 1.4 '
        '| 61.0 ± 1.4 | 59.9 ± 1.4 |',
        '| LoRA_vtab | 1 | 85.0 | 65.0 | 45.0 | 65.0 | 63.9 |',
    ]
    del records['VPT_vtab-dtd'], records['LoRA_vtab-dtd']
    assert vtab_table(records) == ''


@given(st.lists(st.floats(0, 100), min_size=19, max_size=19))
def test_vtab_means_are_those_of_a_plain_loop(scores):
    of_task = dict(zip(TASKS, scores, strict=True))
    sums = dict.fromkeys(('natural', 'specialized', 'structured'), 0.0)
    for name, score in of_task.items():
        sums[TASKS[name].group] += score
    means = [sums['natural'] / 7, sums['specialized'] / 4]
    means.append(sums['structured'] / 8)
    means += [sum(means) / 3, sum(scores) / 19]
    cells = vtab_table(of_tasks(of_task)).splitlines()[-1].split(' | ')[2:]
    found = [float(cell.strip(' |')) for cell in cells]
    assert found == pytest.approx(means, abs=0.0501)
