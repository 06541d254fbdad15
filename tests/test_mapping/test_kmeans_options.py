"""Defaults of k-means to the last bit, its options, and many classes."""

import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from mmdavpt.errors import UsageError
from mmdavpt.mapping import assign_prompts, cluster, normalize_rows
from mmdavpt.mapping import kmeans as module


def plain_k_means(representations, num_clusters, init=None, seed=0):
    """What the defaults are, written out with scikit-learn."""
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
def test_defaults_are_ten_runs_of_plain_k_means(shape, clusters, seed):
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


def test_defaults_of_a_known_mapping():
    """Recorded before there were options."""
    points = np.random.default_rng(7).normal(size=(20, 6))
    result = assign_prompts(points, np.ones(20, bool), 5, seed=3)
    assert result.mapping.tolist() == [
        3,
        0,
        2,
        4,
        4,
        4,
        0,
        1,
        0,
        0,
        3,
        3,
        2,
        0,
        1,
        0,
        3,
        0,
        2,
        1,
    ]


def runs_of(monkeypatch, shape, clusters, **options):
    """Return the options that scikit-learn is called with."""
    seen = {}

    class Recorder(KMeans):
        def fit(self, x):
            seen.update(self.get_params(), shape=x.shape)
            self.labels_ = np.arange(len(x)) % self.n_clusters
            return self

    monkeypatch.setattr(module, 'KMeans', Recorder)
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
    assert runs_of(monkeypatch, shape, clusters, restarts=7) == 7
    start = np.zeros((clusters, shape[1]))
    assert runs_of(monkeypatch, shape, clusters, init=start) == 1


def test_restarts_find_better_clusters():
    points = np.random.default_rng(2).normal(size=(120, 3))

    def spread(restarts):
        assignment, centroids = cluster(points, 12, restarts=restarts)
        return ((normalize_rows(points) - centroids[assignment]) ** 2).sum()

    assert spread(30) < spread(1)
    assert spread(10) == spread(None)


class TestMiniBatch:
    """Sizes above 1024, so that batches are not everything."""

    GROUPS = np.repeat(np.eye(6), 300, axis=0)
    POINTS = GROUPS + 0.05 * np.random.default_rng(0).normal(size=(1800, 6))

    def test_finds_clear_groups(self):
        assignment, centroids = cluster(self.POINTS, 6, algorithm='minibatch')
        assert np.bincount(assignment).tolist() == [300] * 6
        by_group = assignment.reshape(6, 300)
        assert (by_group == by_group[:, :1]).all()
        np.testing.assert_allclose(
            centroids[0],
            normalize_rows(self.POINTS)[assignment == 0].mean(0),
        )

    def test_differs_from_full_and_between_seeds_alone(self):
        points = np.random.default_rng(0).normal(size=(1500, 4))
        runs = [
            cluster(points, 30, seed=seed, algorithm='minibatch')
            for seed in (0, 0, 1)
        ]
        np.testing.assert_array_equal(runs[0][0], runs[1][0])
        np.testing.assert_array_equal(runs[0][1], runs[1][1])
        assert (runs[0][0] != runs[2][0]).any()
        assert (runs[0][0] != cluster(points, 30)[0]).any()

    def test_warm_start_keeps_the_identity_of_clusters(self):
        order = [3, 1, 5, 0, 2, 4]
        for seed in range(5):
            assignment, _ = cluster(
                self.POINTS, 6, np.eye(6)[order], 'l2', seed, 'minibatch'
            )
            assert assignment[::300].tolist() == np.argsort(order).tolist()

    def test_small_clusters_stay_where_they_were(self):
        """Not moved to where more points are, as scikit-learn would."""
        start = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
        points = np.repeat(start, [1500, 1500, 2], axis=0)
        points += 0.01 * np.random.default_rng(0).normal(size=points.shape)
        for seed in range(5):
            assignment, _ = cluster(
                points, 3, start, 'l2', seed, algorithm='minibatch'
            )
            assert np.bincount(assignment).tolist() == [1500, 1500, 2]

    def test_no_cluster_is_empty(self):
        points = np.ones((1500, 3))
        far = np.array([[1.0, 1, 1], [1e3, 0, 0], [0, 1e3, 0], [0, 0, 1e3]])
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            for init in (None, far):
                assignment, _ = cluster(points, 4, init, algorithm='minibatch')
                assert np.bincount(assignment, minlength=4).all()

    def test_reaches_through_the_rules(self):
        points = np.random.default_rng(0).normal(size=(1500, 4))
        seen = np.ones(1500, bool)
        result = assign_prompts(points, seen, 30, algorithm='minibatch')
        expected = cluster(points, 30, algorithm='minibatch')[0]
        np.testing.assert_array_equal(result.mapping, expected)


@pytest.mark.parametrize('warm', [False, True])
@pytest.mark.parametrize(
    'options, tables',
    [(dict(), 1), (dict(algorithm='minibatch'), 2), (dict(balanced=True), 5)],
    ids=['full', 'minibatch', 'balanced'],
)
def test_memory_grows_with_the_data_alone(options, tables, warm):
    """Neither K x K nor K x P x C, which would be 128 MB and 82 MB here."""
    num_classes, channels, num_prompts = 4000, 64, 40
    rng = np.random.default_rng(0)
    points = rng.normal(size=(num_classes, channels)).astype(np.float32)
    seen = np.ones(num_classes, bool)
    arguments = dict(normalize='centered', restarts=1, **options)
    start = None
    if warm:
        start = assign_prompts(points, seen, num_prompts, **arguments)
        start = start.centroids
    else:
        # What is imported on the first call is not counted.
        assign_prompts(points[:50], seen[:50], 5, **arguments)
    tracemalloc.start()
    try:
        assign_prompts(points, seen, num_prompts, start, **arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    data = num_classes * channels * 8
    distances = num_classes * num_prompts * 8
    assert peak < 2.6 * data + tables * distances


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(algorithm='lloyd'), "of .*'minibatch'.*but got 'lloyd'"),
        (dict(restarts=0), '`restarts` .*at least 1.*but got 0'),
        (dict(restarts=2.0), '`restarts` .*but got 2.0'),
        (dict(restarts=True), '`restarts` .*but got True'),
        (dict(balanced='yes'), "`balanced` .*but got 'yes'"),
        (dict(balanced=1), '`balanced` .*but got 1'),
    ],
)
def test_unknown_options(options, message):
    with pytest.raises(UsageError, match=message):
        cluster(np.eye(3), 2, **options)
    # Also where k-means is not needed.
    with pytest.raises(UsageError, match=message):
        assign_prompts(np.eye(3), np.ones(3, bool), 3, **options)
