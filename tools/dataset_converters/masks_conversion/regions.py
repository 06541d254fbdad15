"""Pixels of a shape.

Coordinates are continuous: pixel (x, y) covers the square from (x, y) to
(x + 1, y + 1), as annotation tools draw it. A pixel belongs to a shape that
contains its center. The square from (1, 1) to (5, 5) has the 16 pixels 1 to 4,
and polygons that share an edge neither overlap nor leave a gap.

The functions that fill take the size of the image last and return a mask.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .annotations import Size

#: Larger coordinates, in pixels, are a mistake.
MAX_COORDINATE = 1e6


def as_points(values: object) -> np.ndarray:
    """Return pairs or a flat list of coordinates as an array (N, 2)."""
    points = np.asarray(values, dtype=float)
    if points.shape[-1] % 2 or points.ndim > 1 and points.shape[-1] != 2:
        raise ValueError(f'{points.size} coordinates are no pairs of x and y')
    # Also False for NaN.
    if not np.all(np.abs(points) < MAX_COORDINATE):
        raise ValueError('a coordinate is not a number or too large')
    return points.reshape(-1, 2)


def fill_polygons(polygons: list[np.ndarray], size: Size) -> np.ndarray:
    """Fill the union of polygons; one that crosses itself has holes.

    Args:
        polygons (list[np.ndarray]): Points of each polygon, (N, 2).
        size (Size): Height and width of the image.
    """
    (height, width), mask = size, np.zeros(size, dtype=bool)
    for points in polygons:
        flips = np.zeros((height, width + 1), dtype=bool)
        for ends in zip(points, np.roll(points, -1, axis=0), strict=True):
            # Edges go down, so that polygons round a common edge alike.
            (x0, y0), (x1, y1) = sorted(ends, key=lambda point: point[1])
            limits = np.ceil(np.array([y0, y1]) - 0.5).clip(0, height)
            row = np.arange(*limits.astype(int))
            if len(row):
                crossing = x0 + (row + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
                column = np.ceil(crossing - 0.5).clip(0, width)
                flips[row, column.astype(int)] ^= True
        mask |= np.logical_xor.accumulate(flips, axis=1)[:, :width]
    return mask


def fill_ellipse(
    center: Sequence[float], radii: Sequence[float], degrees: float, size: Size
) -> np.ndarray:
    """Fill an ellipse.

    Args:
        center (Sequence[float]): x and y.
        radii (Sequence[float]): Horizontal and vertical, before the rotation.
        degrees (float): Clockwise rotation.
        size (Size): Height and width of the image.
    """
    dy, dx = np.ogrid[: size[0], : size[1]]
    dx, dy = dx + 0.5 - center[0], dy + 0.5 - center[1]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    across, down = dx * cosine + dy * sine, dy * cosine - dx * sine
    # Without a division, which a radius of 0 would not survive.
    product = radii[0] * radii[1]
    mask = (across * radii[1]) ** 2 + (down * radii[0]) ** 2 <= product**2
    return mask & (product > 0)


def fill_runs(
    counts: str | list, shape: Size, corner: Size, order: str, size: Size
) -> np.ndarray:
    """Fill a mask of alternating runs of outer and inner pixels.

    Args:
        counts (str | list): Lengths of the runs, or COCO's
            compressed text of them.
        shape (Size): Height and width of the mask.
        corner (Size): Row and column of its first pixel.
        order (str): 'C' if runs follow rows, 'F' if they follow columns.
        size (Size): Height and width of the image.

    Raises:
        ValueError: If the runs do not fill the mask.
    """
    counts = decompress_runs(counts) if isinstance(counts, str) else counts
    runs = np.asarray(counts)
    if runs.dtype.kind != 'i' or runs.ndim != 1 or runs.min() < 0:
        raise ValueError('run lengths should be whole numbers, at least 0')
    if runs.sum() != shape[0] * shape[1]:
        raise ValueError(f'{runs.sum()} pixels in runs of a mask {shape}')
    mask = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return _place(mask.reshape(shape, order=order), corner, size)


def decompress_runs(text: str) -> list[int]:
    """Decode COCO's compressed run lengths.

    A number has 5 bits in each character, the lowest first; the next bit says
    whether it continues. From the fourth on, it is the difference from the
    number two before.

    Args:
        text (str): The text. A damaged one gives other numbers, whose sum
            is wrong.
    """
    counts: list[int] = []
    number = bits = 0
    for character in text:
        code = ord(character) - 48
        number |= (code & 31) << bits
        bits += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << bits
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = bits = 0
    return counts


def fill_bitmap(content: str, corner: Size, size: Size) -> np.ndarray:
    """Fill the nonzero pixels of an image.

    Args:
        content (str): The image file in Base64.
        corner (Size): Row and column of its first pixel.
        size (Size): Height and width of the image.
    """
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        mask = np.asarray(image.convert('L')) > 0
    return _place(mask, corner, size)


def _place(mask: np.ndarray, corner: Size, size: Size) -> np.ndarray:
    """Return a mask of the image from one of a part of it."""
    image = np.zeros(size, dtype=bool)
    (y, x), (height, width) = corner, mask.shape
    part = image[y : y + height, x : x + width]
    if min(corner) < 0 or part.shape != mask.shape:
        raise ValueError('a mask reaches out of the image')
    part[:] = mask
    return image
