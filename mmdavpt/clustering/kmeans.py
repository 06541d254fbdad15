"""k-means over class representations, without empty clusters."""

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

NORMALIZATIONS = ('l2', 'centered', 'layer', 'none')


def normalize_rows(x: np.ndarray, normalize: str = 'l2') -> np.ndarray:
    """Normalise representations before they are clustered.

    Args:
        x (np.ndarray): Shape (S, C).
        normalize (str): Defaults to 'l2'.

            - 'l2': unit length, a zero row stays zero;
            - 'centered': unit length after the mean of all rows is taken
              away, so that what all classes have in common, and how it drifts
              while prompts train, plays no role;
            - 'layer': zero mean and unit variance over the channels, as a
              layer norm without weights (released code);
            - 'none': as they are.

    Returns:
        np.ndarray: Float64, shape (S, C).

    Raises:
        ValueError: If ``normalize`` is unknown.
    """
    x = np.array(x, dtype=np.float64)
    if normalize == 'none':
        return x
    if normalize in ('l2', 'centered'):
        if normalize == 'centered':
            x -= x.mean(axis=0)
        length = np.linalg.norm(x, axis=1, keepdims=True)
        return x / np.where(length > 1e-12, length, 1.0)
    if normalize == 'layer':
        x -= x.mean(axis=1, keepdims=True)
        return x / np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)
    raise ValueError(
        f'normalize should be one of {NORMALIZATIONS}, but got {normalize!r}'
    )


def cluster_means(
    x: np.ndarray, assignment: np.ndarray, num_clusters: int
) -> np.ndarray:
    """Return the mean of each cluster, zero for an empty one, shape (P, C)."""
    sums = np.zeros((num_clusters, x.shape[1]))
    np.add.at(sums, assignment, x)
    sizes = np.bincount(assignment, minlength=num_clusters)
    return sums / np.maximum(sizes, 1)[:, None]


def fill_empty_clusters(
    x: np.ndarray, assignment: np.ndarray, num_clusters: int
) -> np.ndarray:
    """Give every empty cluster one member.

    While a cluster is empty, the point farthest from the mean of its cluster
    moves to the first empty one; only clusters with more than one member
    give. Of equally far points the first moves, so that the result is the
    same every time, also when points coincide.

    Args:
        x (np.ndarray): Points, shape (S, C), with S >= ``num_clusters``.
        assignment (np.ndarray): Cluster of each point, shape (S, ).
        num_clusters (int): The number of clusters.

    Returns:
        np.ndarray: The new assignment, shape (S, ).
    """
    assignment = assignment.copy()
    while True:
        sizes = np.bincount(assignment, minlength=num_clusters)
        empty = np.flatnonzero(sizes == 0)
        if not len(empty):
            return assignment
        means = cluster_means(x, assignment, num_clusters)
        distance = np.linalg.norm(x - means[assignment], axis=1)
        distance[sizes[assignment] < 2] = -1
        assignment[distance.argmax()] = empty[0]


def cluster(
    representations: np.ndarray,
    num_clusters: int,
    init: np.ndarray | None = None,
    normalize: str = 'l2',
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster class representations by k-means (section 3.4).

    Fresh, it is the best of ten runs from k-means++; with ``init``, one run
    from there, and cluster ``p`` goes on from centroid ``p``. Computed in
    float64 on one thread: two threads add in changing order, which can break
    ties differently from run to run.

    Args:
        representations (np.ndarray): Shape (S, C).
        num_clusters (int): The number of clusters ``P``, at most ``S``.
        init (np.ndarray, optional): Previous centroids, as returned, shape
            (P, C). Defaults to None.
        normalize (str): See :func:`normalize_rows`. Defaults to 'l2'.
        seed (int): Seed of k-means++. Defaults to 0.

    Returns:
        tuple[np.ndarray, np.ndarray]: Cluster of each representation, int64,
        shape (S, ), none of them empty (:func:`fill_empty_clusters`); and
        the means of the clusters' normalised representations, float64,
        shape (P, C).

    Raises:
        ValueError: If the number of clusters or a shape does not fit, or a
            value is not finite.
    """
    x = np.asarray(representations, dtype=np.float64)
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
    kmeans = KMeans(
        num_clusters,
        init='k-means++' if init is None else init,
        n_init=10 if init is None else 1,
        tol=0,
        random_state=seed,
    )
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        # Fewer distinct points than clusters: dealt with below.
        warnings.simplefilter('ignore', ConvergenceWarning)
        assignment = kmeans.fit(x).labels_.astype(np.int64)
    assignment = fill_empty_clusters(x, assignment, num_clusters)
    return assignment, cluster_means(x, assignment, num_clusters)
