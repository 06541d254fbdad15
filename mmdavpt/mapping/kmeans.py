"""k-means over class representations, without empty clusters."""

import warnings

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from mmdavpt.errors import UsageError

from .balanced import MAX_ROUNDS, balance
from .clusters import cluster_means, fill_empty_clusters
from .normalization import normalize_rows

ALGORITHMS = ('full', 'minibatch')
#: Products of a point with a centroid, S x P x C times the runs, that a fresh
#: start may cost for each time that it compares all points with all centroids.
FRESH_PRODUCTS = 2_500_000_000


def cluster(
    representations: np.ndarray,
    num_clusters: int,
    init: np.ndarray | None = None,
    normalize: str = 'l2',
    seed: int = 0,
    algorithm: str = 'full',
    restarts: int | None = None,
    balanced: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster class representations by k-means (section 3.4).

    Fresh, it is the best of several runs from k-means++; with ``init``, one
    run from there, and cluster ``p`` goes on from centroid ``p``. Computed in
    float64 on one thread: two threads add in changing order, which can break
    ties differently from run to run. Memory is two copies of the
    representations and a few arrays of S x P.

    Args:
        representations (np.ndarray): Shape (S, C).
        num_clusters (int): The number of clusters ``P``, at most ``S``.
        init (np.ndarray, optional): Previous centroids, as returned, shape
            (P, C). Defaults to None.
        normalize (str): See :func:`normalize_rows`. Defaults to 'l2'.
        seed (int): Seed of k-means++ and of mini-batches. Defaults to 0.
        algorithm (str): Defaults to 'full'.

            - 'full': every step sees all representations;
            - 'minibatch': every step sees 1024 of them. A fresh start is
              faster with many thousands of classes; a warm start is not, and
              moves more classes, as it draws the batches anew.
        restarts (int, optional): Runs of a fresh start, of which the best
            counts. Defaults to None: ten, and fewer, down to one, where
            S x P x C is above 250 million, such as 10,000 classes, 200
            prompts and 1024 channels.
        balanced (bool): Whether every cluster gets floor(S / P) or
            ceil(S / P) representations, see :func:`balance`. A warm start
            then needs no ``algorithm``. Defaults to False.

    Returns:
        tuple[np.ndarray, np.ndarray]: Cluster of each representation, int64,
        shape (S, ), none of them empty (:func:`fill_empty_clusters`); and
        the means of the clusters' normalised representations, float64,
        shape (P, C).

    Raises:
        ValueError: If the number of clusters or a shape does not fit, a value
            is not finite, or an option is unknown.
    """
    check_options(algorithm, restarts, balanced)
    x = np.asarray(representations)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError(
            'representations should be finite and have the shape (S, C), but '
            f'got the shape {x.shape} with {(~np.isfinite(x)).sum()} values '
            'that are not finite'
        )
    x = normalize_rows(x, normalize)
    if not 1 <= num_clusters <= len(x):
        raise ValueError(
            f'num_clusters should be between 1 and the {len(x)} '
            f'representations there are, but got {num_clusters}'
        )
    if init is not None:
        init = np.ascontiguousarray(init, dtype=np.float64)
        if (
            init.shape != (num_clusters, x.shape[1])
            or not np.isfinite(init).all()
        ):
            raise ValueError(
                'init should hold finite centroids of the shape '
                f'{(num_clusters, x.shape[1])}, but got the shape '
                f'{init.shape}; leave it out to start anew'
            )
    with threadpool_limits(limits=1):
        if not balanced or init is None:
            assignment = _k_means(
                x, num_clusters, init, seed, algorithm, restarts
            )
            assignment = fill_empty_clusters(x, assignment, num_clusters)
        if balanced:
            start = (
                cluster_means(x, assignment, num_clusters)
                if init is None
                else init
            )
            assignment = balance(x, start)
    return assignment, cluster_means(x, assignment, num_clusters)


def check_options(
    algorithm: str, restarts: int | None, balanced: bool
) -> None:
    """Check the options of :func:`cluster` that do not depend on data.

    Raises:
        UsageError: If one is unknown or out of range.
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(
            f'`algorithm` should be one of {ALGORITHMS}, but got {algorithm!r}'
        )
    if restarts is not None and (
        isinstance(restarts, bool)
        or not isinstance(restarts, int)
        or restarts < 1
    ):
        raise UsageError(
            '`restarts` should be a whole number of at least 1, or None to '
            f'choose by size, but got {restarts!r}'
        )
    if not isinstance(balanced, bool):
        raise UsageError(
            f'`balanced` should be True or False, but got {balanced!r}'
        )


def _k_means(
    x: np.ndarray,
    num_clusters: int,
    init: np.ndarray | None,
    seed: int,
    algorithm: str,
    restarts: int | None,
) -> np.ndarray:
    """Run scikit-learn's k-means; a cluster may be empty."""
    options = dict(init=init, n_init=1, tol=0, random_state=seed)
    if init is None:
        affordable = FRESH_PRODUCTS // (x.size * num_clusters)
        runs = min(max(affordable, 1), 10) if restarts is None else restarts
        options.update(init='k-means++', n_init=runs)
    if algorithm == 'full':
        kmeans = KMeans(num_clusters, max_iter=MAX_ROUNDS, **options)
    else:
        if init is not None:
            # Clusters would lose their identity at random.
            options['reassignment_ratio'] = 0
        kmeans = MiniBatchKMeans(num_clusters, batch_size=1024, **options)
    with warnings.catch_warnings():
        # Fewer distinct points than clusters: dealt with by the caller.
        warnings.simplefilter('ignore', ConvergenceWarning)
        return kmeans.fit(x).labels_.astype(np.int64)
