"""Tests of the rules that send classes to prompts."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdavpt.mapping import assign_prompts, describe
from mmdavpt.mapping.assignment import _assign_by_index

#: Directions in the plane: classes 0 and 3 right, 1 and 4 up, 2 and 5 left.
SIX = np.array([[2, 0], [0, 1], [-1, 0], [1, 0.1], [0.1, 3], [-1, 0.1]], float)
ALL = np.ones(6, dtype=bool)


def without(*classes):
    """Seen flags of six classes, except some."""
    seen = ALL.copy()
    seen[list(classes)] = False
    return seen


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


class TestMoreClassesThanPrompts:
    def test_classes_of_a_cluster_share_a_prompt(self):
        result = assign_prompts(SIX, ALL, 3)
        assert result.mapping.dtype == result.sizes.dtype == np.int64
        assert (result.mapping[:3] == result.mapping[3:]).all()
        assert set(result.mapping) == {0, 1, 2}
        assert result.sizes.tolist() == [2, 2, 2]
        assert result.never_seen == ()
        for p in range(3):
            np.testing.assert_allclose(
                result.centroids[p], unit(SIX)[result.mapping == p].mean(0)
            )

    def test_warm_start_keeps_the_identity_of_prompts(self):
        first = assign_prompts(SIX, ALL, 3)
        order = [2, 0, 1]
        # Prompt p is called order.index(p) from here on.
        renamed = assign_prompts(SIX, ALL, 3, centroids=first.centroids[order])
        np.testing.assert_array_equal(
            renamed.mapping, np.argsort(order)[first.mapping]
        )
        np.testing.assert_allclose(renamed.centroids, first.centroids[order])

    def test_a_class_that_turns_moves_alone(self):
        first = assign_prompts(SIX, ALL, 3)
        turned = SIX.copy()
        turned[3] = [-2, -0.1]
        second = assign_prompts(turned, ALL, 3, centroids=first.centroids)
        assert second.mapping[3] == first.mapping[2]
        assert (first.mapping != second.mapping).sum() == 1

    def test_zero_centroid_restarts_k_means(self):
        first = assign_prompts(SIX, ALL, 3, seed=4)
        # Started from these, cluster 1 would be empty and be relocated.
        unassigned = np.array([[1, 0], [0, 0], [0, 1]], float)
        result = assign_prompts(SIX, ALL, 3, unassigned, seed=4)
        np.testing.assert_array_equal(result.mapping, first.mapping)
        kept = np.array([[-1, 0], [1, 0], [0, 1]], float)
        assert assign_prompts(SIX, ALL, 3, kept, seed=4).mapping[
            :3
        ].tolist() == [1, 2, 0]

    def test_excluded_classes_have_no_prompt_and_no_influence(self):
        representations = SIX.copy()
        representations[[0, 4]] = np.nan
        result = assign_prompts(representations, ALL, 2, excluded=(4, 0))
        assert result.mapping[[0, 4]].tolist() == [-1, -1]
        # Left: 2 and 5, the rest: 1 and 3.
        assert result.mapping[2] == result.mapping[5]
        assert result.mapping[1] == result.mapping[3] != result.mapping[2]
        assert result.sizes.tolist() == [2, 2]

    def test_never_seen_class_goes_to_the_prompt_of_its_position(self):
        representations = SIX.copy()
        representations[[1, 5]] = np.nan
        result = assign_prompts(representations, without(1, 5), 3)
        seen_only = assign_prompts(SIX[[0, 2, 3, 4]], ALL[:4], 3)
        np.testing.assert_array_equal(
            result.mapping[[0, 2, 3, 4]], seen_only.mapping
        )
        # 1 * 3 // 6 = 0 and 5 * 3 // 6 = 2.
        assert result.mapping[[1, 5]].tolist() == [0, 2]
        assert result.never_seen == (1, 5)
        assert result.sizes.sum() == 6
        np.testing.assert_allclose(result.centroids, seen_only.centroids)

    def test_position_counts_without_excluded_classes(self):
        # Class 5 is the fourth of 1, 2, 4, 5: 3 * 2 // 4 = 1.
        result = assign_prompts(SIX, without(5), 2, excluded=(0, 3))
        assert result.mapping[5] == 1
        # Class 2 is the first of 2, 3, 4, 5: 0, where its index would say
        # 2 * 2 // 4 = 1. Class 2 is the third of 0, 1, 2, 3: 2 * 2 // 4 = 1,
        # where all six classes would say 2 * 2 // 6 = 0.
        result = assign_prompts(SIX, without(2), 2, excluded=(0, 1))
        assert result.mapping[2] == 0
        result = assign_prompts(SIX, without(2), 2, excluded=(4, 5))
        assert result.mapping[2] == 1

    def test_options_reach_k_means(self):
        lengths = np.array([[1, 0.1], [9, 1], [9.5, 10], [0, 5]])
        seen = ALL[:4]
        by_name = {
            name: tuple(
                assign_prompts(lengths, seen, 3, normalize=name).mapping
            )
            for name in ('l2', 'none')
        }
        assert by_name['l2'][0] == by_name['l2'][1]
        assert by_name['none'][0] != by_name['none'][1]
        points = np.random.default_rng(0).normal(size=(40, 4))
        mappings = {
            tuple(
                assign_prompts(points, np.ones(40, bool), 8, seed=seed).mapping
            )
            for seed in range(3)
        }
        assert len(mappings) > 1

    @pytest.mark.parametrize('as_type', [torch.tensor, np.ndarray.tolist])
    def test_accepts_tensors_and_lists(self, as_type):
        result = assign_prompts(as_type(SIX), as_type(ALL), 3)
        np.testing.assert_array_equal(
            result.mapping, assign_prompts(SIX, ALL, 3).mapping
        )

    def test_one_prompt_takes_all(self):
        result = assign_prompts(SIX, ALL, 1)
        assert (result.mapping == 0).all() and result.sizes.tolist() == [6]


class TestFewSeenClasses:
    def test_one_prompt_per_seen_class(self):
        # 3 prompts, seen: 1 and 4.
        result = assign_prompts(SIX, without(0, 2, 3, 5), 3)
        assert result.mapping[[1, 4]].tolist() == [0, 1]
        # Wanted 0, 1, 1, 2; prompt 2 has no seen class, so 5 goes to 1.
        assert result.mapping[[0, 2, 3, 5]].tolist() == [0, 1, 1, 1]
        assert result.sizes.tolist() == [2, 4, 0]
        assert result.never_seen == (0, 2, 3, 5)
        np.testing.assert_allclose(
            result.centroids, [[0, 1], *unit(SIX[4:5]), [0, 0]]
        )

    def test_as_many_seen_classes_as_prompts(self):
        result = assign_prompts(SIX, without(0, 3, 5), 3)
        assert result.mapping[[1, 2, 4]].tolist() == [0, 1, 2]

    def test_one_seen_class(self):
        result = assign_prompts(SIX, without(0, 1, 2, 3, 4), 3)
        assert (result.mapping == 0).all()

    def test_lower_of_two_equally_near_prompts(self):
        # Seen classes fill the prompts from 0 on, so no caller causes a tie.
        # Class 2 is nearest to prompt 2 * 3 // 4 = 1, between 0 and 2.
        mapping = np.array([0, 2, -1, 2])
        _assign_by_index(mapping, np.arange(4), np.array([2]), 3)
        assert mapping.tolist() == [0, 2, 0, 2]

    def test_next_epoch_restarts_k_means_when_all_are_seen(self):
        few = assign_prompts(SIX, without(0, 2, 3, 5), 3)
        result = assign_prompts(SIX, ALL, 3, few.centroids)
        np.testing.assert_array_equal(
            result.mapping, assign_prompts(SIX, ALL, 3).mapping
        )


class TestNoMoreClassesThanPrompts:
    @pytest.mark.parametrize('num_prompts', [6, 8])
    def test_one_prompt_per_class_in_order(self, num_prompts):
        result = assign_prompts(SIX, ALL, num_prompts)
        assert result.mapping.tolist() == [0, 1, 2, 3, 4, 5]
        unassigned = num_prompts - 6
        assert result.sizes.tolist() == [1] * 6 + [0] * unassigned
        np.testing.assert_allclose(result.centroids[:6], unit(SIX))
        assert (result.centroids[6:] == 0).all()

    def test_never_seen_class_keeps_its_own_prompt(self):
        representations = SIX.copy()
        representations[2] = np.nan
        result = assign_prompts(representations, without(2), 7)
        assert result.mapping.tolist() == [0, 1, 2, 3, 4, 5]
        assert result.never_seen == (2,)
        assert (result.centroids[2] == 0).all()

    def test_excluded_classes_take_no_prompt(self):
        result = assign_prompts(SIX, ALL, 4, excluded=[0, 3])
        assert result.mapping.tolist() == [-1, 0, 1, -1, 2, 3]
        np.testing.assert_allclose(result.centroids, unit(SIX[[1, 2, 4, 5]]))

    def test_warm_start_keeps_the_mapping(self):
        first = assign_prompts(SIX, ALL, 6)
        second = assign_prompts(2 * SIX, ALL, 6, first.centroids[::-1])
        np.testing.assert_array_equal(first.mapping, second.mapping)

    def test_normalization(self):
        result = assign_prompts(SIX, ALL, 6, normalize='none')
        np.testing.assert_array_equal(result.centroids, SIX)


@pytest.mark.parametrize(
    'classes, excluded', [(1, ()), (6, range(5)), (6, range(6)), (0, ())]
)
def test_one_class_turns_the_guidance_off(classes, excluded):
    result = assign_prompts(
        SIX[:classes], np.zeros(classes, bool), 3, excluded=excluded
    )
    assert result.mapping.tolist() == [-1] * classes
    assert result.sizes.tolist() == [0, 0, 0]
    assert result.centroids.shape == (3, 2) and not result.centroids.any()


@settings(max_examples=40, derandomize=True)
@given(
    seen=st.lists(st.booleans(), min_size=2, max_size=9).filter(any),
    num_prompts=st.integers(1, 10),
    seed=st.integers(0, 3),
)
def test_every_class_has_a_prompt_with_a_seen_class(seen, num_prompts, seed):
    seen = np.array(seen)
    points = np.random.default_rng(seed).normal(size=(len(seen), 2))
    result = assign_prompts(points, seen, num_prompts)
    assert ((result.mapping >= 0) & (result.mapping < num_prompts)).all()
    assert (
        result.sizes.tolist()
        == np.bincount(result.mapping, minlength=num_prompts).tolist()
    )
    if len(seen) <= num_prompts:
        assert result.sizes.max() == 1
    else:
        used = min(int(seen.sum()), num_prompts)
        assert len(set(result.mapping[seen])) == used
        assert set(result.mapping) == set(result.mapping[seen])
    assert list(result.never_seen) == np.flatnonzero(~seen).tolist()


def test_result_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        assign_prompts(SIX, ALL, 3).mapping = None


@pytest.mark.parametrize('num_prompts', [3, 8])
def test_no_class_seen(num_prompts):
    with pytest.raises(
        ValueError, match='none of the 6 classes has a training sample'
    ):
        assign_prompts(SIX, ~ALL, num_prompts)
    with pytest.raises(ValueError, match='none of the 5 classes'):
        assign_prompts(SIX, without(1, 2, 3, 4, 5), 3, excluded=(0,))


def test_representations_that_are_not_finite_are_rejected():
    broken = SIX.copy()
    broken[4, 0] = np.inf
    with pytest.raises(ValueError, match='classes 4 are not; check their im'):
        assign_prompts(broken, ALL, 3)


def test_describe():
    result = assign_prompts(SIX, ALL, 3)
    assert describe(result, 2) == (
        'Mapping: 6 classes on 3 prompts, cluster sizes [2, 2, 2], '
        '2 classes moved'
    )
    assert '1 class moved' in describe(result, 1)
    assert 'first mapping' in describe(result, None)
    assert describe(assign_prompts(SIX, without(2), 8), 0) == (
        'Mapping: 6 classes on 6 prompts, 2 unassigned, cluster sizes '
        '[1, 1, 1, 1, 1, 1, 0, 0], 0 classes moved, never seen: 2'
    )
    off = assign_prompts(SIX[:1], ALL[:1], 3)
    assert describe(off, 0).endswith('the guidance is off')
    many = dataclasses.replace(result, never_seen=tuple(range(12)))
    assert 'never seen: 12 (such as 0, 1,' in describe(many, 0)
