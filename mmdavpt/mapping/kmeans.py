"""k-means over class representations, without empty clusters."""

import warnings

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from .normalization import normalize_rows

#: The most products of a point with a centroid (S x P x C) that all runs of
#: k-means++ may cost in one step.
MAX_PRODUCTS = 2_500_000_000


def cluster(
    representations: np.ndarray,
    num_clusters: int,
    init: np.ndarray | None = None,
    normalize: str = 'l2',
    seed: int = 0,
    runs: int = 10,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster class representations by k-means (section 3.4).

    Without ``init`` the result is the best of ``runs`` from k-means++, fewer
    where S x P x C is above 250 million, such as 10,000 classes, 200 prompts
    and 1024 channels. With ``init`` it is one run from there, and cluster
    ``p`` continues centroid ``p``. Memory is two copies of the
    representations and one array of S x P.

    Args:
        representations (np.ndarray): Shape (S, C).
        num_clusters (int): The number of clusters ``P``, at most ``S``.
        init (np.ndarray, optional): Previous centroids, as returned, shape
            (P, C). Defaults to None.
        normalize (str): See :func:`normalize_rows`. Defaults to 'l2'.
        seed (int): Seed of k-means++. Defaults to 0.
        runs (int): Runs of k-means++. Defaults to 10.

    Returns:
        tuple[np.ndarray, np.ndarray]: Cluster of each representation, int64,
        shape (S, ), none of them empty (:func:`fill_empty_clusters`); and
        the means of the clusters' normalized representations, float64,
        shape (P, C).

    Raises:
        ValueError: By scikit-learn, if the number of clusters or a shape does
            not fit, or a value is not finite.
    """
    # Their import takes a second, which only runs that cluster should wait.
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    x = normalize_rows(representations, normalize)
    if init is None:
        affordable = max(MAX_PRODUCTS // (x.size * num_clusters), 1)
        start = dict(init='k-means++', n_init=min(affordable, runs))
    else:
        start = dict(init=np.asarray(init, dtype=np.float64), n_init=1)
    kmeans = KMeans(num_clusters, tol=0, random_state=seed, **start)
    # Two threads add in changing order, which can break ties differently.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # Fewer distinct points than clusters: empty ones are filled.
        warnings.simplefilter('ignore', ConvergenceWarning)
        assignment = kmeans.fit(x).labels_.astype(np.int64)
        assignment = fill_empty_clusters(x, assignment, num_clusters)
    return assignment, cluster_means(x, assignment, num_clusters)


def cluster_means(
    x: np.ndarray, assignment: np.ndarray, num_clusters: int
) -> np.ndarray:
    """Return the mean of each cluster, zero for an empty one, shape (P, C)."""
    sizes = np.bincount(assignment, minlength=num_clusters)
    # A product with ones adds the rows of a cluster in their order.
    entries = np.ones(len(x)), (assignment, np.arange(len(x)))
    members = csr_matrix(entries, shape=(num_clusters, len(x)))
    return (members @ x) / np.maximum(sizes, 1)[:, None]


def fill_empty_clusters(
    x: np.ndarray, assignment: np.ndarray, num_clusters: int
) -> np.ndarray:
    """Give every empty cluster one member.

    While a cluster is empty, the point farthest from the mean of its cluster
    moves to the first empty one, if its cluster has more than one member. Of
    equally far points the first moves, so the result is deterministic, also
    when points coincide.

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
        if sizes.all():
            return assignment
        means = cluster_means(x, assignment, num_clusters)
        distance = np.linalg.norm(x - means[assignment], axis=1)
        distance[sizes[assignment] < 2] = -1
        assignment[distance.argmax()] = sizes.argmin()
