"""k-means to the last bit, its number of runs, and its memory."""

import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from mmdavpt.mapping import assign_prompts, cluster, normalize_rows


def plain_k_means(representations, num_clusters, init=None, seed=0):
    """The same, written out with scikit-learn."""
    x = normalize_rows(representations, 'l2')
    start = (
        dict(init='k-means++', n_init=10)
        if init is None
        else dict(init=init, n_init=1)
    )
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter('ignore', ConvergenceWarning)
        labels = (
            KMeans(num_clusters, tol=0, random_state=seed, **start)
            .fit(x)
            .labels_
        )
    sums, sizes = np.zeros((num_clusters, x.shape[1])), np.bincount(labels)
    np.add.at(sums, labels, x)
    return labels, sums / sizes[:, None]


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(
    'shape, clusters', [((60, 4), 8), ((151, 32), 20), ((700, 16), 50)]
)
def test_matches_plain_k_means_bit_for_bit(shape, clusters, seed):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=shape).astype(np.float32)
    second = first + 0.2 * rng.normal(size=shape).astype(np.float32)
    assignment, centroids = cluster(first, clusters, seed=seed)
    expected = plain_k_means(first, clusters, seed=seed)
    np.testing.assert_array_equal(assignment, expected[0])
    np.testing.assert_array_equal(centroids, expected[1])
    # As they come back from the model's buffers.
    previous = centroids.astype(np.float32)
    assignment, centroids = cluster(second, clusters, previous, seed=seed)
    expected = plain_k_means(
        second, clusters, previous.astype(np.float64), seed=seed
    )
    np.testing.assert_array_equal(assignment, expected[0])
    np.testing.assert_array_equal(centroids, expected[1])


def test_a_recorded_mapping():
    points = np.random.default_rng(7).normal(size=(20, 6))
    result = assign_prompts(points, np.ones(20, bool), 5, seed=3)
    assert ''.join(map(str, result.mapping)) == '30244401003320103021'


def runs_of(monkeypatch, shape, clusters, **options):
    """Return the options that scikit-learn is called with."""
    seen = {}

    class Recorder(KMeans):
        def fit(self, x):
            seen.update(self.get_params(), shape=x.shape)
            self.labels_ = np.arange(len(x)) % self.n_clusters
            return self

    monkeypatch.setattr('sklearn.cluster.KMeans', Recorder)
    cluster(np.zeros(shape, np.float32), clusters, **options)
    return seen['n_init']


@pytest.mark.parametrize(
    'shape, clusters, runs',
    [
        ((150, 1024), 20, 10),
        ((1000, 768), 200, 10),
        ((10_000, 128), 195, 10),
        ((10_000, 128), 200, 9),
        ((10_000, 128), 1000, 1),
        ((10_000, 128), 5000, 1),
    ],
)
def test_fewer_runs_where_ten_would_take_minutes(
    monkeypatch, shape, clusters, runs
):
    assert runs_of(monkeypatch, shape, clusters) == runs
    start = np.zeros((clusters, shape[1]))
    assert runs_of(monkeypatch, shape, clusters, init=start) == 1


@pytest.mark.parametrize('warm', [False, True])
def test_memory_grows_linearly_with_the_data(warm):
    """Neither K x K nor K x P x C, which would be 128 MB and 82 MB here."""
    num_classes, channels, num_prompts = 4000, 64, 40
    rng = np.random.default_rng(0)
    points = rng.normal(size=(num_classes, channels)).astype(np.float32)
    seen = np.ones(num_classes, bool)
    arguments = dict(normalize='centered')
    start = None
    if warm:
        start = assign_prompts(points, seen, num_prompts, **arguments)
        start = start.centroids
    else:
        # Imports of the first call do not count.
        assign_prompts(points[:50], seen[:50], 5, **arguments)
    tracemalloc.start()
    try:
        assign_prompts(points, seen, num_prompts, start, **arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    data = num_classes * channels * 8
    distances = num_classes * num_prompts * 8
    assert peak < 2.6 * data + distances
