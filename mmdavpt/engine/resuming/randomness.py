"""Random draws that leave the training's own stream alone."""

import random
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated_randomness(seed: int):
    """Seed all generators inside, and restore their states afterwards.

    What runs inside neither disturbs the draws outside nor depends on them,
    so that a run that skips it (a resumed one) draws the same numbers.

    Args:
        seed (int): Seed of Python's, NumPy's and PyTorch's generators.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    # Only the own device: by default all of the machine would be touched.
    devices = (
        [torch.cuda.current_device()] if torch.cuda.is_available() else []
    )
    with torch.random.fork_rng(devices):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
