"""Clusters of equal size: k-means whose assignments are constrained."""

import numpy as np

from .clusters import cluster_means

#: Costs are rounded to whole multiples of their range divided by this.
RESOLUTION = 2**44
#: Stands for "no such move"; a sum of two still fits int64.
NEVER = 2**61
#: Steps of k-means, as scikit-learn's default.
MAX_ROUNDS = 300


def balance(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Cluster points into clusters of equal size, from given centroids.

    Two steps take turns until the sum of squared distances between points and
    the means of their clusters no longer falls: the best assignment under the
    constraint (:func:`balanced_assignment`), and the means of the clusters.

    Args:
        x (np.ndarray): Points, shape (S, C).
        centroids (np.ndarray): Where to start, shape (P, C), P <= S. Cluster
            ``p`` goes on from centroid ``p``.

    Returns:
        np.ndarray: Cluster of each point, int64, shape (S, ), each cluster
        with floor(S / P) or ceil(S / P) points.
    """
    # Distances far from the origin would lose digits.
    origin = x.mean(axis=0)
    x, means = x - origin, centroids - origin
    assignment, prices, lowest = None, None, np.inf
    for _ in range(MAX_ROUNDS):
        # The squared length of a point adds the same to all its distances.
        proposed, prices = balanced_assignment(
            (means**2).sum(axis=1) - 2 * (x @ means.T), prices
        )
        means = cluster_means(x, proposed, len(means))
        sizes = np.bincount(proposed, minlength=len(means))
        spread = -(sizes * (means**2).sum(axis=1)).sum()
        if spread >= lowest:
            break
        assignment, lowest = proposed, spread
    return assignment


def balanced_assignment(
    cost: np.ndarray, prices: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Give every cluster its equal share of points, at the least total cost.

    Of ``S`` points no cluster gets fewer than floor(S / P) or more than
    ceil(S / P). Among these assignments the result has the least sum of
    costs, up to a rounding of each cost to 2**-44 of the range of all costs:
    sums of whole numbers are exact, and so ties cannot send a search round
    in circles.

    It is a minimum-cost flow. Every point starts at the cluster that is
    cheapest for it; then points are moved along the cheapest chains of
    clusters from those with too many to those with too few (successive
    shortest paths). The chains are found among the ``P`` clusters alone,
    where the way from one to another costs what the cheapest of its points
    would lose. So memory is a few arrays of S x P and P x P, however many
    points there are; an assignment of points to S copies of the clusters
    would need S x S.

    Args:
        cost (np.ndarray): Cost of each point at each cluster, finite,
            shape (S, P), with S >= P.
        prices (np.ndarray, optional): Prices of a similar problem to start
            from, as returned, shape (P, ). They change how long it takes, and
            not the total cost. Defaults to None, none.

    Returns:
        tuple[np.ndarray, np.ndarray]: Cluster of each point, int64,
        shape (S, ); and a price for each cluster, float64, shape (P, ): by
        cost plus price, no point would be better off elsewhere.

    Raises:
        ValueError: If a shape does not fit or a value is not finite.
    """
    cost = np.asarray(cost, dtype=np.float64)
    if cost.ndim != 2 or not 1 <= cost.shape[1] <= len(cost):
        raise ValueError(
            'costs should have the shape (S, P) with at least one cluster, '
            f'and no more clusters than points, but got {cost.shape}'
        )
    prices = np.zeros(cost.shape[1]) if prices is None else np.asarray(prices)
    if prices.shape != cost.shape[1:]:
        raise ValueError(
            f'prices should have the shape {cost.shape[1:]}, but got '
            f'{prices.shape}; leave them out to start without'
        )
    if not (np.isfinite(cost).all() and np.isfinite(prices).all()):
        raise ValueError(
            'costs and prices should be finite, but some are not; check the '
            'points for NaN'
        )
    low = cost.min()
    unit = (cost.max() - low) / RESOLUTION or 1.0
    # A price moves its points at most from one end of the range to the other
    # once per cluster.
    bound = len(prices) * RESOLUTION
    flow = _Flow(
        np.rint((cost - low) / unit).astype(np.int64),
        np.clip(np.rint(prices / unit), -bound, bound).astype(np.int64),
    )
    while (flow.excess > 0).any():
        flow.push()
    return flow.assignment, flow.final_prices() * unit


class _Flow:
    """A minimum-cost flow of points to clusters and on to a sink.

    The nodes are the P clusters and, last, the sink, which takes floor(S / P)
    points from every cluster and one more from S mod P of them, whichever.
    The flow is one of least cost at any time; what is missing is that as much
    leaves each node as arrives.

    Args:
        cost (np.ndarray): Whole costs, int64, shape (S, P).
        prices (np.ndarray): Whole prices, int64, shape (P, ).
    """

    def __init__(self, cost: np.ndarray, prices: np.ndarray) -> None:
        num_points, num_clusters = cost.shape
        cost += prices
        self.cost, self.prices = cost, prices
        self.assignment = cost.argmin(axis=1)
        sizes = np.bincount(self.assignment, minlength=num_clusters)
        self.least, self.spare = divmod(num_points, num_clusters)
        # What the sink takes: a cluster with a price is in demand.
        taken = np.full(num_clusters, self.least)
        if self.spare:
            taken += np.where(
                prices == 0, sizes > self.least, prices > 0
            ).astype(np.int64)
        self.taken = taken
        self.excess = np.append(sizes - taken, taken.sum() - num_points)
        #: Cost of the cheapest move between two nodes, and who moves.
        self.moves = np.full([num_clusters + 1] * 2, NEVER)
        self.movers = np.full([num_clusters + 1] * 2, -1)
        for node in range(num_clusters + 1):
            self._update(node)

    def _update(self, node: int) -> None:
        """Find the cheapest moves out of a node anew."""
        sink = len(self.prices)
        if node == sink:
            if self.spare:
                gives = self.taken > self.least
                self.moves[sink, :sink] = np.where(gives, self.prices, NEVER)
            return
        members = np.flatnonzero(self.assignment == node)
        self.moves[node] = NEVER
        if len(members):
            loss = self.cost[members] - self.cost[members, node, None]
            first = loss.argmin(axis=0)
            self.moves[node, :sink] = loss[first, np.arange(sink)]
            self.movers[node, :sink] = members[first]
            self.moves[node, node] = NEVER
        if self.spare and self.taken[node] == self.least:
            self.moves[node, sink] = -self.prices[node]

    def _paths(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the cheapest ways to all nodes (Bellman and Ford).

        Args:
            distance (np.ndarray): What it costs to start at each node,
                :data:`NEVER` for one that is no start, shape (P + 1, ).

        Returns:
            tuple[np.ndarray, np.ndarray]: Cost of the way to each node and
            the node before it, -1 at the start, shape (P + 1, ).
        """
        distance = distance.copy()
        previous = np.full(len(distance), -1)
        changed = np.flatnonzero(distance < NEVER // 2)
        while len(changed):
            through = distance[changed, None] + self.moves[changed]
            first = through.argmin(axis=0)
            shortest = through[first, np.arange(len(distance))]
            better = (shortest < distance) & (shortest < NEVER // 2)
            distance[better] = shortest[better]
            previous[better] = changed[first[better]]
            changed = np.flatnonzero(better)
        return distance, previous

    def push(self) -> None:
        """Move points along cheapest chains that do not share a cluster."""
        distance, previous = self._paths(np.where(self.excess > 0, 0, NEVER))
        wanting = np.flatnonzero(self.excess < 0)
        used = np.zeros(len(distance), dtype=bool)
        for end in wanting[np.argsort(distance[wanting], kind='stable')]:
            chain = [end]
            while previous[chain[-1]] >= 0:
                chain.append(previous[chain[-1]])
            if not used[chain].any():
                used[chain] = True
                self._move_along(chain[::-1])
        for node in np.flatnonzero(used):
            self._update(node)

    def _move_along(self, chain: list[int]) -> None:
        """Move one point, or one share of the sink, along each step."""
        sink = len(self.prices)
        for start, end in zip(chain[:-1], chain[1:], strict=True):
            if end == sink:
                self.taken[start] += 1
            elif start == sink:
                self.taken[end] -= 1
            else:
                self.assignment[self.movers[start, end]] = end
        self.excess[chain[0]] -= 1
        self.excess[chain[-1]] += 1

    def final_prices(self) -> np.ndarray:
        """Return prices under which no point would be better off elsewhere."""
        distance, _ = self._paths(np.zeros(len(self.prices) + 1, np.int64))
        prices = self.prices - distance[:-1] + distance[-1]
        return prices.astype(np.float64)
