"""Seed random draws without disturbing those of the training."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated_randomness(seed: int) -> Iterator[None]:
    """Seed all generators inside, and restore their states afterwards.

    Code inside neither changes the draws outside nor depends on them, so a
    resumed run, which skips it, draws the same numbers.

    Args:
        seed (int): Seed of Python's, NumPy's and PyTorch's generators.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    # Only the current device: the default forks those of all devices.
    has_gpu = torch.cuda.is_available()
    devices = [torch.cuda.current_device()] if has_gpu else []
    with torch.random.fork_rng(devices):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def generator_states() -> tuple:
    """Return the states of Python's, NumPy's and PyTorch's generators."""
    of_torch = torch.get_rng_state().numpy().tobytes()
    return random.getstate(), str(np.random.get_state()), of_torch
