"""Means of clusters, and filling of empty clusters."""

import numpy as np

from mmdavpt.mapping.kmeans import cluster_means, fill_empty_clusters


def test_cluster_means_by_hand():
    x = np.array([[0.0, 1], [4, 5], [2, 3]])
    means = cluster_means(x, np.array([2, 0, 2]), 4)
    assert means.tolist() == [[4, 5], [0, 0], [1, 2], [0, 0]]


def test_cluster_means_add_in_the_order_of_the_points():
    """Equals the sums of a loop over the points bit for bit."""
    rng = np.random.default_rng(0)
    x, assignment = rng.normal(size=(99, 5)), rng.integers(0, 7, 99)
    sums, sizes = np.zeros((7, 5)), np.zeros((7, 1))
    for row, p in zip(x, assignment, strict=True):
        sums[p] += row
        sizes[p] += 1
    np.testing.assert_array_equal(
        cluster_means(x, assignment, 7), sums / sizes
    )


def test_fill_empty_clusters():
    # Cluster 0 has mean 2.5: the point at 7 is farthest and moves to 1.
    # Then the mean is 1: 0 and 2 are equally far, and the first moves to 2.
    # The pair in cluster 3 never gets a chance, the single one in 4 neither.
    x = np.array([[0.0], [2], [1], [7], [20], [20.1], [99]])
    before = np.array([0, 0, 0, 0, 3, 3, 4])
    after = fill_empty_clusters(x, before, 5)
    assert after.tolist() == [2, 0, 0, 1, 3, 3, 4]
    assert before.tolist() == [0, 0, 0, 0, 3, 3, 4]
