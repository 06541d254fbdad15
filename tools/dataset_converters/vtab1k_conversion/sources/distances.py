"""Classes of distances, as VTAB's tasks on scenes have them."""

from collections.abc import Sequence

import numpy as np


def bin_of(distance: float, starts: Sequence[float]) -> int:
    """Return the class of a distance: the last whose start lies below it.

    Compared as float32, since VTAB's labels come from TensorFlow.

    Args:
        distance (float): The distance.
        starts (Sequence[float]): Where the classes start, ascending.
    """
    below = np.asarray(starts, np.float32) < np.float32(distance)
    return int(below.sum()) - 1
