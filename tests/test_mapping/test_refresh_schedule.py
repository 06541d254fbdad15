"""The epochs after which the mapping is refreshed, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdavpt.errors import UsageError
from mmdavpt.mapping.refresh_schedule import RefreshSchedule


def epochs(total=12, **options):
    """Return the epochs, counted from 1, after which it is due."""
    schedule = RefreshSchedule(**options)
    return [n for n in range(1, total + 1) if schedule.is_due(n)]


@pytest.mark.parametrize(
    'options, expected',
    [
        (dict(), list(range(1, 13))),
        (dict(interval=5), [5, 10]),
        (dict(begin=1), list(range(1, 13))),
        (dict(begin=10), [10, 11, 12]),
        (dict(interval=4, begin=3), [3, 7, 11]),
        (dict(interval=2, begin=6), [6, 8, 10, 12]),
        (dict(interval=5, begin=5), [5, 10]),
        (dict(begin=13), []),
        (dict(interval=None), []),
        (dict(interval=None, begin=0), []),
        (dict(begin=0), []),
        (dict(interval=3, begin=0), []),
    ],
)
def test_epochs_by_hand(options, expected):
    assert epochs(**options) == expected


def test_iterations_by_hand():
    schedule = RefreshSchedule(interval=2, begin=3)
    due = [n for n in range(1, 25) if schedule.is_due(n, epoch=4)]
    assert due == [12, 20]
    # Of epochs 2 and 3, then of 4 and 5: epoch 1 is not clustered.
    assert [n for n in range(24) if not schedule.collects(n, 4)] == [
        0,
        1,
        2,
        3,
    ]


@given(
    interval=st.integers(1, 6),
    begin=st.none() | st.integers(1, 12),
    epoch=st.integers(1, 5),
)
def test_each_refresh_is_of_at_most_interval_epochs(interval, begin, epoch):
    schedule = RefreshSchedule(interval, begin)
    collected, sizes = 0, []
    for done in range(40 * epoch):
        collected += schedule.collects(done, epoch)
        if schedule.is_due(done + 1, epoch):
            sizes.append(collected)
            collected = 0
    first = min(interval, interval if begin is None else begin)
    assert sizes[0] == first * epoch
    assert set(sizes[1:]) == {interval * epoch}


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(interval=0), '`interval` should be .*at least 1.*but got 0'),
        (
            dict(interval='never'),
            "`interval` .*or None, but got 'never'",
        ),
        (dict(interval=1.5), '`interval` .*but got 1.5'),
        (dict(interval=True), '`interval` .*but got True'),
        (dict(begin=-1), '`begin` should be .*at least 0.*but got -1'),
        (dict(begin='10'), "`begin` .*but got '10'"),
        (
            dict(interval=None, begin=10),
            'interval=None never .*contradicts begin=10',
        ),
    ],
)
def test_contradictions(options, message):
    with pytest.raises(UsageError, match=message):
        RefreshSchedule(**options)


def test_runs_that_end_before_the_first_refresh():
    is_missed = RefreshSchedule(begin=10).is_missed
    assert is_missed(9) and is_missed(39, epoch=4)
    assert not is_missed(10) and not is_missed(40, epoch=4)
    assert not RefreshSchedule(interval=None).is_missed(5)
