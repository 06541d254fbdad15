"""Clusters of equal size: by hand, by brute force, and their properties."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mmdavpt.mapping import assign_prompts, cluster, normalize_rows
from mmdavpt.mapping.balanced import balance, balanced_assignment


def sizes_of(assignment, num_clusters):
    return np.bincount(assignment, minlength=num_clusters)


def is_even(assignment, num_clusters):
    sizes = sizes_of(assignment, num_clusters)
    least, spare = divmod(len(assignment), num_clusters)
    return sorted(sizes) == sorted(
        [least + 1] * spare + [least] * (num_clusters - spare)
    )


def total(cost, assignment):
    return cost[np.arange(len(cost)), assignment].sum()


def least_by_brute_force(cost):
    """The least total cost over all assignments with even sizes."""
    points, clusters = cost.shape
    return min(
        total(cost, np.array(assignment))
        for assignment in itertools.product(range(clusters), repeat=points)
        if is_even(np.array(assignment), clusters)
    )


def least_by_copies(cost):
    """The least total cost, with a copy of each cluster for each place.

    Of each cluster one place may stay free; points that cost nothing there,
    and cannot go elsewhere, keep as many of these free as must be.
    """
    points, clusters = cost.shape
    least, spare = divmod(points, clusters)
    places = np.repeat(cost, least, axis=1)
    if not spare:
        return cost_of_matching(places)
    places = np.hstack([places, cost])
    nobody = np.full((clusters - spare, places.shape[1]), 1e6)
    nobody[:, -clusters:] = 0
    return cost_of_matching(np.vstack([places, nobody]))


def cost_of_matching(cost):
    rows, columns = linear_sum_assignment(cost)
    return cost[rows, columns].sum()


class TestAssignment:
    def test_by_hand(self):
        # All prefer the left; who minds the right least goes there.
        cost = np.array([[0, 9], [0, 3], [0, 8], [0, 1]], float)
        assignment, prices = balanced_assignment(cost)
        assert assignment.tolist() == [0, 1, 0, 1]
        assert assignment.dtype == np.int64
        # The left costs between 3 and 8 more than the right.
        assert 3 - 1e-9 <= prices[0] - prices[1] <= 8 + 1e-9

    def test_a_chain_of_moves(self):
        # 3 cannot go to the last cluster cheaply, but push 1 there.
        cost = np.array(
            [[0, 99, 99], [0, 1, 99], [99, 0, 2], [99, 0, 99]], float
        )
        assignment, _ = balanced_assignment(cost)
        assert sizes_of(assignment, 3).min() >= 1
        assert assignment.tolist() == [0, 0, 2, 1]

    def test_who_gets_one_more_is_chosen_by_cost(self):
        cost = np.array([[0, 5], [0, 4], [0, 1]], float)
        assert balanced_assignment(cost)[0].tolist() == [0, 0, 1]
        assert balanced_assignment(-cost)[0].tolist() == [1, 1, 0]

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.data())
    def test_is_the_least_of_all(self, data):
        clusters = data.draw(st.integers(1, 4))
        points = data.draw(st.integers(clusters, 6))
        row = st.lists(
            st.integers(-3, 3), min_size=clusters, max_size=clusters
        )
        cost = np.array(
            data.draw(st.lists(row, min_size=points, max_size=points)), float
        )
        prices = data.draw(st.none() | row.map(np.array))
        assignment, _ = balanced_assignment(cost, prices)
        assert is_even(assignment, clusters)
        assert total(cost, assignment) == least_by_brute_force(cost)
        assert least_by_copies(cost) == least_by_brute_force(cost)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        points=st.integers(1, 60),
        clusters=st.integers(1, 20),
        seed=st.integers(0, 99),
        warm=st.booleans(),
    )
    def test_is_that_of_a_matching_with_copies(
        self, points, clusters, seed, warm
    ):
        clusters = min(clusters, points)
        rng = np.random.default_rng(seed)
        cost = rng.normal(size=(points, clusters))
        cost[:, 0] -= rng.choice([0, 5])
        start = 3 * rng.normal(size=clusters) if warm else None
        assignment, prices = balanced_assignment(cost, start)
        assert is_even(assignment, clusters)
        np.testing.assert_allclose(
            total(cost, assignment), least_by_copies(cost), atol=1e-9
        )
        # The prices say why: nobody is better off elsewhere.
        priced = cost + prices
        assert (
            priced[np.arange(points), assignment] <= priced.min(1) + 1e-9
        ).all()

    def test_large_and_lopsided(self):
        """All 1500 points come from one of 30 clusters."""
        rng = np.random.default_rng(0)
        cost = rng.random(size=(1500, 30))
        cost[:, 7] -= 2
        assignment, prices = balanced_assignment(cost)
        assert sizes_of(assignment, 30).tolist() == [50] * 30
        expected = least_by_copies(cost)
        np.testing.assert_allclose(total(cost, assignment), expected)
        again, _ = balanced_assignment(cost, prices)
        np.testing.assert_allclose(total(cost, again), expected)

    @pytest.mark.parametrize('value', [0.0, 1e300, -7.0])
    def test_equal_costs(self, value):
        cost = np.full((7, 3), value)
        assignment, prices = balanced_assignment(cost, np.array([5.0, 0, -5]))
        assert is_even(assignment, 3) and np.isfinite(prices).all()

    def test_far_prices_and_small_differences(self):
        cost = 1e-9 * np.random.default_rng(0).random((9, 3))
        assignment, _ = balanced_assignment(cost, np.array([1e9, 0, -1e9]))
        np.testing.assert_allclose(
            total(cost, assignment), least_by_copies(cost)
        )

    def test_wrong_inputs(self):
        for shape in [(2, 3), (3, 0), (3,)]:
            with pytest.raises(ValueError, match=r'\(S, P\) .*but got'):
                balanced_assignment(np.zeros(shape))
        with pytest.raises(ValueError, match=r'shape \(2,\), but got \(3,\)'):
            balanced_assignment(np.zeros((3, 2)), np.zeros(3))
        with pytest.raises(ValueError, match='should be finite'):
            balanced_assignment(np.full((3, 2), np.nan))


#: Five points on the left, one on the right.
LOPSIDED = np.array([[0, 0], [0, 1], [2, 0], [1, 1], [4, 0], [9, 0]], float)


class TestClusters:
    def test_by_hand(self):
        # The right costs 81 - 18 x1 more than the left, which is more than 0
        # for all but the last point. Evenly, the three with the largest x1 go.
        start = np.array([[0.0, 0], [9, 0]])
        free, _ = cluster(LOPSIDED, 2, start, 'none')
        even, centroids = cluster(LOPSIDED, 2, start, 'none', balanced=True)
        assert free.tolist() == [0, 0, 0, 0, 0, 1]
        assert even.tolist() == [0, 0, 1, 0, 1, 1]
        np.testing.assert_allclose(centroids, [[1 / 3, 2 / 3], [5, 0]])

    def test_the_identity_of_clusters_is_kept(self):
        start = np.array([[9.0, 0], [0, 0]])
        even, _ = cluster(LOPSIDED, 2, start, 'none', balanced=True)
        assert even.tolist() == [1, 1, 0, 1, 0, 0]

    def test_goes_on_until_nothing_moves(self):
        points = np.random.default_rng(0).normal(size=(61, 3))
        x = normalize_rows(points)
        assignment, centroids = cluster(points, 7, x[:7], balanced=True)
        distances = ((x[:, None] - centroids) ** 2).sum(-1)
        np.testing.assert_allclose(
            total(distances, assignment), least_by_copies(distances)
        )
        for p in range(7):
            np.testing.assert_allclose(
                centroids[p], x[assignment == p].mean(0)
            )
        once, _ = balanced_assignment(((x[:, None] - x[:7]) ** 2).sum(-1))
        assert (once != assignment).any()

    def test_costs_less_than_the_start(self):
        """A fresh start goes on from the best of plain k-means."""
        points = np.random.default_rng(0).normal(size=(100, 3))
        x = normalize_rows(points)

        def spread(assignment, centroids):
            return ((x - centroids[assignment]) ** 2).sum()

        free, centroids = cluster(points, 9)
        once, _ = balanced_assignment(((x[:, None] - centroids) ** 2).sum(-1))
        means = np.stack([x[once == p].mean(0) for p in range(9)])
        even = cluster(points, 9, balanced=True)
        assert spread(free, centroids) < spread(*even) < spread(once, means)
        again = cluster(points, 9, balanced=True)
        np.testing.assert_array_equal(even[0], again[0])
        np.testing.assert_array_equal(even[1], again[1])

    def test_far_from_the_origin(self):
        start = np.array([[0.0, 0], [9, 0]])
        near = balance(LOPSIDED, start)
        far = balance(LOPSIDED + 1e10, start + 1e10)
        np.testing.assert_array_equal(near, far)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(
        points=st.integers(1, 40),
        clusters=st.integers(1, 12),
        seed=st.integers(0, 99),
        warm=st.booleans(),
        whole=st.booleans(),
    )
    def test_sizes(self, points, clusters, seed, warm, whole):
        clusters = min(clusters, points)
        x = np.random.default_rng(seed).normal(size=(points, 2))
        if whole:
            x = np.rint(x)  # points coincide
        start = x[:clusters] if warm else None
        assignment, centroids = cluster(
            x, clusters, start, 'none', balanced=True
        )
        assert is_even(assignment, clusters)
        assert np.isfinite(centroids).all()

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(
        order=st.permutations(range(23)),
        clusters=st.integers(1, 9),
        seed=st.integers(0, 99),
    )
    def test_the_order_of_classes_does_not_matter(self, order, clusters, seed):
        rng = np.random.default_rng(seed)
        points, start = rng.normal(size=(23, 3)), rng.normal(size=(9, 3))
        arguments = (start[:clusters], 'centered')
        there, centroids = cluster(points, clusters, *arguments, balanced=True)
        here, same = cluster(
            points[order], clusters, *arguments, balanced=True
        )
        np.testing.assert_array_equal(here, there[order])
        np.testing.assert_allclose(same, centroids, atol=1e-12)


class TestRules:
    POINTS = np.random.default_rng(0).normal(size=(30, 3)) + [2, 0, 0]
    SEEN = np.ones(30, bool)

    def test_reaches_through_the_rules(self):
        free = assign_prompts(self.POINTS, self.SEEN, 7)
        even = assign_prompts(self.POINTS, self.SEEN, 7, balanced=True)
        assert free.sizes.max() > 5
        assert sorted(even.sizes) == [4, 4, 4, 4, 4, 5, 5]
        warm = assign_prompts(
            self.POINTS, self.SEEN, 7, even.centroids[::-1], balanced=True
        )
        np.testing.assert_array_equal(warm.mapping, 6 - even.mapping)

    def test_excluded_classes_take_no_place(self):
        result = assign_prompts(
            self.POINTS, self.SEEN, 7, excluded=(0, 9), balanced=True
        )
        assert result.mapping[[0, 9]].tolist() == [-1, -1]
        assert result.sizes.tolist() == [4] * 7

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        seen=st.lists(st.booleans(), min_size=2, max_size=30).filter(any),
        num_prompts=st.integers(1, 12),
        excluded=st.booleans(),
    )
    def test_never_seen_classes_fill_up_evenly(
        self, seen, num_prompts, excluded
    ):
        seen = np.array(seen)
        first = int(np.flatnonzero(~seen)[0]) if not seen.all() else None
        excluded = (first,) if excluded and first is not None else ()
        result = assign_prompts(
            np.where(seen[:, None], self.POINTS[: len(seen)], np.nan),
            seen,
            num_prompts,
            excluded=excluded,
            balanced=True,
        )
        mapping, seen = (
            np.delete(values, excluded) for values in (result.mapping, seen)
        )
        if len(mapping) < 2:
            return
        used = len(set(mapping))
        assert is_even(mapping, used) and mapping.max() == used - 1
        if len(mapping) > num_prompts:
            assert used == min(num_prompts, seen.sum())
            assert is_even(mapping[seen], used)

    def test_never_seen_go_to_the_nearest_with_room(self):
        # Seen: 0 and 5, at prompts 0 and 1. The others want 1 * 2 // 6 = 0,
        # 0, 1, 1; all find room.
        six = self.POINTS[:6]
        seen = np.array([True, False, False, False, False, True])
        result = assign_prompts(six, seen, 2, balanced=True)
        assert result.mapping.tolist() == [0, 0, 0, 1, 1, 1]
        # Seen: 4 and 5. All of 0, 1 and 2 want prompt 0, which has room for
        # two; 3 finds what is left.
        seen = np.array([False] * 4 + [True] * 2)
        result = assign_prompts(six, seen, 2, balanced=True)
        assert result.mapping.tolist() == [0, 0, 1, 1, 0, 1]
        free = assign_prompts(six, seen, 2)
        assert free.mapping.tolist() == [0, 0, 0, 1, 0, 1]

    @pytest.mark.parametrize('num_prompts', [30, 31, 50])
    def test_no_more_classes_than_prompts(self, num_prompts):
        result = assign_prompts(
            self.POINTS, self.SEEN, num_prompts, balanced=True
        )
        assert result.mapping.tolist() == list(range(30))
