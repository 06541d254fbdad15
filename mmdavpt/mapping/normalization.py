"""Normalize class representations before clustering."""

import numpy as np

from mmdavpt.errors import check_choice

NORMALIZATIONS = ('l2', 'centered', 'layer', 'none')
#: Rows per chunk, to avoid a second array of the size of the input.
CHUNK = 512


def normalize_rows(x: np.ndarray, normalize: str = 'l2') -> np.ndarray:
    """Normalize representations before clustering.

    Args:
        x (np.ndarray): Shape (S, C).
        normalize (str): Defaults to 'l2'.

            - 'l2': unit length, a zero row stays zero;
            - 'centered': unit length after the mean of all rows is
              subtracted, so that what all classes have in common, and its
              drift during training, has no effect;
            - 'layer': zero mean and unit variance over the channels, as a
              layer norm without weights (released code);
            - 'none': unchanged.

    Returns:
        np.ndarray: Float64, shape (S, C).

    Raises:
        ValueError: If ``normalize`` is unknown.
    """
    check_choice('`normalize`', normalize, NORMALIZATIONS)
    x = np.array(x, dtype=np.float64)
    if normalize == 'centered':
        x -= x.mean(axis=0)
    if normalize == 'none':
        return x
    for start in range(0, len(x), CHUNK):
        rows = x[start : start + CHUNK]
        if normalize == 'layer':
            rows -= rows.mean(axis=1, keepdims=True)
            rows /= np.sqrt(rows.var(axis=1, keepdims=True) + 1e-6)
        else:
            length = np.linalg.norm(rows, axis=1, keepdims=True)
            rows /= np.where(length > 1e-12, length, 1.0)
    return x
