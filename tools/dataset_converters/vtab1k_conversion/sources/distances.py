"""Classes of distances in VTAB's tasks on scenes."""

from collections.abc import Sequence

import numpy as np


def bin_of(distance: float, starts: Sequence[float]) -> int:
    """Return the class of a distance: the last one that starts below it.

    The comparison uses float32, like TensorFlow for VTAB's labels.

    Args:
        distance (float): The distance.
        starts (Sequence[float]): Starts of the classes, ascending.
    """
    below = np.asarray(starts, np.float32) < np.float32(distance)
    return int(below.sum()) - 1
