"""Tests of k-means on points that can be drawn by hand."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdavpt.mapping import cluster, normalize_rows

#: Three tight groups: at the origin, to the right, above.
GROUPS = np.array([[0, 0], [10, 0], [0, 10], [0, 1], [11, 0], [0, 11]], float)


def partition(assignment):
    """The clusters as a set of sets, whatever they are called."""
    return {
        frozenset(np.flatnonzero(assignment == p).tolist())
        for p in np.unique(assignment)
    }


def test_hand_worked():
    assignment, centroids = cluster(GROUPS, 3, normalize='none')
    assert assignment.dtype == np.int64 and centroids.dtype == np.float64
    assert partition(assignment) == {
        frozenset({0, 3}),
        frozenset({1, 4}),
        frozenset({2, 5}),
    }
    np.testing.assert_allclose(
        centroids[assignment[:3]], [[0, 0.5], [10.5, 0], [0, 10.5]]
    )


def test_normalization_decides_which_classes_are_near():
    # By direction 0 and 1 belong together, by place 1 and 2, and by the
    # order of the channels 1 and 2 again, however far 2 is.
    points = np.array([[1, 0.1], [9, 1], [9.5, 10], [0, 5]])
    by_place = cluster(points, 3, normalize='none')[0]
    by_direction = cluster(points, 3, normalize='l2')[0]
    by_order = cluster(points, 2, normalize='layer')[0]
    assert by_direction[0] == by_direction[1] and len(set(by_direction)) == 3
    assert by_place[0] != by_place[1]
    assert partition(by_order) == {frozenset({0, 1}), frozenset({2, 3})}


def test_each_point_is_nearest_to_its_own_centroid():
    # Enough points for k-means to need several rounds from a poor start.
    points = np.random.default_rng(0).normal(size=(200, 5))
    x = normalize_rows(points)
    for init in (None, x[:12]):
        assignment, centroids = cluster(points, 12, init)
        distances = ((x[:, None] - centroids) ** 2).sum(-1)
        assert (distances.argmin(1) == assignment).all()
        for p in range(12):
            np.testing.assert_allclose(
                centroids[p], x[assignment == p].mean(0)
            )


def test_is_the_same_for_a_seed_and_differs_between_seeds():
    points = np.random.default_rng(0).normal(size=(60, 4))
    runs = [cluster(points, 8, seed=seed) for seed in (0, 0, 1, 2)]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert any((run[0] != runs[0][0]).any() for run in runs[2:])


@pytest.mark.parametrize('order', [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_warm_start_keeps_the_identity_of_clusters(order):
    previous = np.array([[1, 1], [9, 1], [1, 9]], float)[order]
    assignment, centroids = cluster(GROUPS, 3, init=previous, normalize='none')
    assert assignment[:3].tolist() == np.argsort(order).tolist()
    np.testing.assert_allclose(
        centroids, np.array([[0, 0.5], [10.5, 0], [0, 10.5]])[order]
    )
    assert (previous == np.array([[1, 1], [9, 1], [1, 9]])[order]).all()


def test_warm_start_continues_from_previous_centroids():
    """A poor start stays in its local optimum, a fresh one finds better."""
    points = np.array([[0, 0], [0, 2], [9, 0], [9, 2]], float)
    flat = np.array([[4.5, 0], [4.5, 2]])
    warm = cluster(points, 2, init=flat, normalize='none')[0]
    fresh = cluster(points, 2, normalize='none')[0]
    assert partition(warm) == {frozenset({0, 2}), frozenset({1, 3})}
    assert partition(fresh) == {frozenset({0, 1}), frozenset({2, 3})}


@pytest.mark.parametrize('normalize', ['l2', 'layer', 'none'])
def test_duplicates_do_not_leave_a_cluster_empty(normalize):
    points = np.ones((5, 2))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assignment, centroids = cluster(points, 4, normalize=normalize)
        again, _ = cluster(points, 4, centroids, normalize)
    assert sorted(np.bincount(assignment, minlength=4)) == [1, 1, 1, 2]
    assert sorted(np.bincount(again, minlength=4)) == [1, 1, 1, 2]


def test_far_warm_centroid_gets_a_member():
    init = np.array([[0, 0], [10, 0], [1e6, 1e6]], float)
    assignment, _ = cluster(GROUPS[:5], 3, init=init, normalize='none')
    assert set(assignment) == {0, 1, 2}
    assert assignment[2] == 2


@settings(max_examples=25, derandomize=True)
@given(st.data())
def test_every_cluster_has_a_member(data):
    # Few values make duplicates likely.
    size = data.draw(st.integers(1, 7))
    coordinate = st.integers(-2, 2)
    points = np.array(
        data.draw(
            st.lists(
                st.tuples(coordinate, coordinate), min_size=size, max_size=size
            )
        ),
        float,
    )
    clusters = data.draw(st.integers(1, size))
    warm = data.draw(st.booleans())
    normalize = data.draw(st.sampled_from(['l2', 'layer', 'none']))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assignment, centroids = cluster(
            points, clusters, points[:clusters] if warm else None, normalize
        )
    assert set(assignment) == set(range(clusters))
    assert assignment.shape == (size,)
    assert centroids.shape == (clusters, 2) and np.isfinite(centroids).all()


def test_as_many_clusters_as_points_and_only_one():
    assert set(cluster(GROUPS, 6, normalize='none')[0]) == set(range(6))
    assignment, centroids = cluster(GROUPS, 1, normalize='none')
    assert (assignment == 0).all()
    np.testing.assert_allclose(centroids, GROUPS.mean(0, keepdims=True))


def test_invalid_inputs():
    broken = GROUPS.copy()
    broken[2, 1] = np.nan
    for arguments in (
        (GROUPS, 7),
        (GROUPS[0], 1),
        (broken, 2),
        (GROUPS, 3, GROUPS[:2]),
        (GROUPS, 3, broken[:3]),
    ):
        with pytest.raises((ValueError, IndexError)):
            cluster(*arguments)
