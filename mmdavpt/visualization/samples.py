"""A sample as a model gets it, and its annotation over its image."""

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np

from .segmentation import colour_segmentation


@dataclass
class Sample:
    """One sample as a model gets it.

    Args:
        image (np.ndarray): uint8, RGB, with shape (H, W, 3).
        index (int): Its place in the dataset.
        name (str): The name of its file, '' if it has none.
        label (int, optional): The class of the image.
        annotation (np.ndarray, optional): The class of each pixel; of another
            size than the image if it is compared at its own. Either this or
            ``label``, or neither where nothing is annotated.
        guidance_label (int, optional): The class drawn for guidance, -1 if
            there was none to draw. Defaults to None: not guided.
    """

    image: np.ndarray
    index: int
    name: str = ''
    label: Optional[int] = None
    annotation: Optional[np.ndarray] = None
    guidance_label: Optional[int] = None


def overlay(
    image: np.ndarray,
    annotation: np.ndarray,
    palette: Sequence[Sequence[int]],
    ignore_index: int = 255,
    opacity: float = 0.7,
) -> np.ndarray:
    """Lay the colours of an annotation over a grey version of the image.

    Args:
        image (np.ndarray): uint8, RGB, with shape (H, W, 3).
        annotation (np.ndarray): Classes, with shape (H, W).
        palette (Sequence[Sequence[int]]): RGB colour of each class, (K, 3).
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.
        opacity (float): Of the colours. Defaults to 0.7.

    Returns:
        np.ndarray: uint8, RGB, with shape (H, W, 3).

    Raises:
        ValueError: If a label has no colour.
    """
    grey = image.mean(axis=2, keepdims=True)
    colours = colour_segmentation(annotation, palette, ignore_index)
    return (opacity * colours + (1 - opacity) * grey).round().astype(np.uint8)


def nearest(annotation: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Resize an annotation without mixing labels.

    Args:
        annotation (np.ndarray): Classes, with shape (h, w).
        size (Tuple[int, int]): Height and width to resize to.

    Returns:
        np.ndarray: With that size; a pixel has the class at its centre.
    """
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, annotation.shape, strict=True)
    )
    return annotation[rows[:, None], columns]
