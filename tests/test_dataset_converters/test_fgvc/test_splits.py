"""Splits of FGVC: VPT's sizes, equal shares of classes, reproducible."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdavpt.datasets.fgvc import SETS
from mmdavpt.errors import UsageError
from tools.dataset_converters.fgvc_conversion import Original
from tools.dataset_converters.fgvc_conversion.splits import (
    exact_fraction,
    hold_out,
    make_lists,
    val_size,
)

#: The smallest digests of '0\nPATH' by sha256sum: of each class, and of all.
CHOSEN = {
    True: ['0/3.jpg', '1/1.jpg', '2/2.jpg'],
    False: ['0/3.jpg', '0/7.jpg', '2/2.jpg'],
}


def entries_of(counts):
    """Return entries with so many images of each class."""
    return {
        f'{c}/{i}.jpg': c
        for c, count in enumerate(counts)
        for i in range(count)
    }


@pytest.mark.parametrize('name', ['cub', 'nabirds', 'dogs', 'cars'])
@pytest.mark.parametrize('stratified', [True, False])
def test_sizes_equal_vpt(name, stratified):
    known = SETS[name]
    total, k = known.sizes['trainval'], known.num_classes
    assert val_size(total, 0.1) == known.sizes['val']
    entries = entries_of([total // k + (c < total % k) for c in range(k)])
    held_out = hold_out(entries, stratified=stratified)
    assert len(held_out) == known.sizes['val']
    assert len(entries) - len(held_out) == known.sizes['train']


def test_fractions_are_exact():
    # In binary 0.1 is a little above a tenth, and 0.07 * 100 above 7.
    assert val_size(12000, 0.1) == val_size(12000, '1/10') == 1200
    assert val_size(100, 0.07) == 7
    assert val_size(101, 0.07) == 8
    assert exact_fraction('0.30') == Fraction(3, 10)


@settings(max_examples=60)
@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=12),
    fraction=st.sampled_from([0.1, 0.25, '1/3']),
    seed=st.integers(0, 5),
)
def test_hold_out_the_same_share_of_each_class(counts, fraction, seed):
    entries = entries_of(counts)
    held_out = hold_out(entries, fraction, seed)
    assert len(held_out) == val_size(sum(counts), fraction)
    given_by = Counter(entries[image] for image in held_out)
    for c, count in enumerate(counts):
        assert abs(given_by[c] - exact_fraction(fraction) * count) < 1
        assert given_by[c] < count


def test_largest_remainders_give_one_more():
    # Shares of 0.9, 0.5, 2.0, 0.6 and 0.2: 5 in all, 2 of them complete.
    entries = entries_of([9, 5, 20, 6, 2])
    given_by = Counter(entries[i] for i in hold_out(entries))
    assert given_by == {0: 1, 1: 1, 2: 2, 3: 1}


def test_keep_the_last_image_of_a_class():
    # Shares of 0.5, 2 and 2: the first remainder is the largest, but the
    # class has one image only, so another one gives a third.
    entries = entries_of([1, 4, 4])
    given_by = Counter(entries[i] for i in hold_out(entries, 0.5))
    assert given_by[0] == 0 and sorted(given_by.values())[-2:] == [2, 3]


@pytest.mark.parametrize('stratified', [True, False])
def test_selection_is_the_same_everywhere(stratified):
    entries = entries_of([10, 10, 10])
    chosen = sorted(hold_out(entries, stratified=stratified))
    assert chosen == CHOSEN[stratified]
    turned = dict(reversed(entries.items()))
    assert hold_out(turned, stratified=stratified) == set(chosen)


def test_seeds_and_rules_differ():
    entries = entries_of([50] * 10)
    choices = {
        frozenset(hold_out(entries, seed=seed, stratified=stratified))
        for seed in range(3)
        for stratified in (True, False)
    }
    assert len(choices) == 6


def test_classes_are_selected_independently():
    alone = hold_out(entries_of([20, 20]))
    together = hold_out(entries_of([20, 20, 40, 10]))
    assert alone == {i for i in together if i.startswith(('0/', '1/'))}


@pytest.mark.parametrize(
    'counts, fraction, stratified, sentence',
    [
        ([5, 5], 0, True, 'between 0 and 1, but got 0'),
        ([5, 5], 1, True, 'between 0 and 1, but got 1'),
        ([5, 5], -0.1, True, 'but got -0.1'),
        ([5, 5], 'tenth', True, 'but got tenth'),
        ([5, 5], '1/0', True, 'but got 1/0'),
        ([5, 5], 0.95, True, 'of 10 images leaves none'),
        ([1, 1, 1], 0.5, True, '2 of 3 images cannot be held out'),
        ([1] * 9, 0.5, False, 'the last training image of a class, such as'),
    ],
)
def test_report_impossible_fractions(counts, fraction, stratified, sentence):
    with pytest.raises(UsageError, match=sentence):
        hold_out(entries_of(counts), fraction, stratified=stratified)


def test_lists_keep_the_order_and_are_disjoint():
    original = Original(train=entries_of([20, 30]), test={'t.jpg': 1})
    lists, rule = make_lists(SETS['cub'], original, 0.2, seed=4)
    assert rule['fraction'] == '1/5' and rule['seed'] == 4
    assert lists['test'] == original.test
    assert not lists['train'].keys() & lists['val'].keys()
    order = list(original.train)
    for part, size in (('train', 40), ('val', 10)):
        assert len(lists[part]) == size
        assert sorted(lists[part], key=order.index) == list(lists[part])
        assert lists[part].items() <= original.train.items()


def test_keep_official_validation_images():
    original = Original(train={'a': 1}, val={'b': 1}, test={'c': 1})
    lists, rule = make_lists(SETS['flowers'], original)
    assert lists == dict(train={'a': 1}, val={'b': 1}, test={'c': 1})
    assert rule == dict(validation='official')
    for asked in (dict(seed=0), dict(fraction=0.1), dict(stratified=False)):
        with pytest.raises(UsageError, match='has official validation'):
            make_lists(SETS['flowers'], original, **asked)
