"""Draw the guidance label of a segmentation sample (A.2)."""

from collections.abc import Collection

import numpy as np


def check_pixel_labels(
    labels: np.ndarray, num_classes: int, ignore_index: int
) -> np.ndarray:
    """Check the pixel labels; return those that are not ignored.

    Args:
        labels (np.ndarray): Pixel labels, integers, any shape.
        num_classes (int): The number of classes ``K``.
        ignore_index (int): The label of pixels without annotation.

    Returns:
        np.ndarray: Shape (n, ).

    Raises:
        ValueError: If a label is out of range.
    """
    labels = np.asarray(labels)
    labels = labels[labels != ignore_index]
    # Range check first: sorting a crop takes ten times as long.
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        found = np.unique(labels)
        wrong = found[(found < 0) | (found >= num_classes)][:10].tolist()
        raise ValueError(
            f'pixel labels should lie in [0, {num_classes}) or be '
            f'{ignore_index} (ignored), but got {wrong}; check num_classes '
            'of the head and reduce_zero_label of the dataset'
        )
    return labels


def draw_guidance_label(
    labels: np.ndarray,
    num_classes: int,
    excluded: Collection[int],
    ignore_index: int,
    rng: np.random.Generator,
) -> int:
    """Draw one class uniformly from those present in an annotation.

    Args:
        labels (np.ndarray): Pixel labels, integers, any shape.
        num_classes (int): The number of classes ``K``.
        excluded (Collection[int]): Classes that are never drawn, such as the
            background.
        ignore_index (int): The label of pixels without annotation.
        rng (np.random.Generator): Source of the draw; used only if there is a
            class to draw.

    Returns:
        int: The class, or -1 if there is none: the sample takes no part in
        the guidance.

    Raises:
        ValueError: If a label is out of range.
    """
    labels = check_pixel_labels(labels, num_classes, ignore_index)
    counts = np.bincount(labels.astype(np.int64), minlength=num_classes)
    present = counts > 0
    present[[k for k in excluded if 0 <= k < num_classes]] = False
    candidates = np.flatnonzero(present)
    if not len(candidates):
        return -1
    return int(rng.choice(candidates))
