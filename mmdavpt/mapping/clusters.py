"""Cluster means, and filling of empty clusters."""

import numpy as np
from scipy.sparse import csr_matrix


def cluster_means(
    x: np.ndarray, assignment: np.ndarray, num_clusters: int
) -> np.ndarray:
    """Return the mean of each cluster, zero for an empty one, shape (P, C)."""
    sizes = np.bincount(assignment, minlength=num_clusters)
    # A product with zeros and ones adds the rows of a cluster in their order.
    members = csr_matrix(
        (
            np.ones(len(x)),
            np.argsort(assignment, kind='stable'),
            np.concatenate([[0], np.cumsum(sizes)]),
        ),
        shape=(num_clusters, len(x)),
    )
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
