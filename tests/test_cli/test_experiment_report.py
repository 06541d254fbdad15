"""Statistics and the plot of finished experiments."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.stats import ttest_rel

from mmdavpt.cli.experiment_plot import pareto_front, plot_costs
from mmdavpt.cli.experiment_report import (
    mean_costs,
    paired_difference,
    report_table,
)


def record(score, **costs):
    return dict(metrics={'mIoU': score, 'aAcc': 0.0}, **costs)


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
    },
    'full': {0: record(81, num_trainable_params=5000, train_time=None)},
    'bias': {
        0: record(70, num_trainable_params=300, accelerator_memory_max=2**21)
    },
}


def test_costs_are_means_over_the_seeds_that_know_them():
    assert mean_costs(COSTLY) == {
        'parameters': {'LoRA': 1200, 'full': 5000, 'bias': 300},
        'training time (s)': {'LoRA': 20},
        'GPU memory (MiB)': {'bias': 2},
    }
    table = report_table(COSTLY, dict.fromkeys(COSTLY, '')).splitlines()
    titles = '| parameters | training time (s) | GPU memory (MiB) |'
    assert table[0].endswith(titles)
    assert table[2].endswith('| 1,200 | 20 |  |')
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


def test_plot_by_hand(tmp_path, monkeypatch):
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        'savefig',
        lambda self, *args, **kw: (
            drawn.append(self) or save(self, *args, **kw)
        ),
    )
    path = tmp_path / 'costs.png'
    plot_costs(COSTLY, str(path))
    assert path.read_bytes().startswith(b'\x89PNG')
    axes = drawn[0].axes
    assert [a.get_xlabel() for a in axes] == [*mean_costs(COSTLY)]
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
    assert fronts == [[[[300, 70], [1200, 81]]], [[[20, 81]]], [[[2, 70]]]]
    (legend,) = drawn[0].legends
    names = sorted(text.get_text() for text in legend.texts)
    assert names == ['LoRA', 'Pareto front', 'bias', 'full']
    # A row looks the same in all panels: `bias` is the third.
    drawn = [axes[i].containers[-1].lines[0] for i in (0, 2)]
    assert {to_hex(line.get_color()) for line in drawn} == {to_hex('C2')}
