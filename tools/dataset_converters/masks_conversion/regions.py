"""Pixels of a shape.

Coordinates are continuous: pixel (x, y) covers the square from (x, y) to
(x + 1, y + 1), as annotation tools draw it. A pixel belongs to a shape that
contains its center. The square from (1, 1) to (5, 5) has the 16 pixels 1 to 4,
and polygons that share an edge neither overlap nor leave a gap.

Each function takes the height and width of the image last, and returns rows,
columns and a mask of that part of the image.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

Part = tuple[slice, slice, np.ndarray]


def fill_polygons(
    polygons: Sequence[np.ndarray], height: int, width: int
) -> Part:
    """Fill the union of polygons; one that crosses itself has holes.

    Args:
        polygons (Sequence[np.ndarray]): Points of each polygon, (N, 2).
        height (int): Height of the image.
        width (int): Width of the image.
    """
    points = np.concatenate(polygons)
    rows, columns = _window(points.min(0), points.max(0), height, width)
    inside = [_inside(polygon, rows, columns) for polygon in polygons]
    return rows, columns, np.logical_or.reduce(inside)


def _inside(points: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Return which pixel centers are inside a polygon (even-odd rule)."""
    # Edges go down, so that polygons round a common edge alike.
    after = np.roll(points, -1, axis=0)
    downward = points[:, 1:] <= after[:, 1:]
    x0, y0 = np.where(downward, points, after).T
    x1, y1 = np.where(downward, after, points).T
    first, last = (
        np.ceil(y - 0.5).clip(rows.start, rows.stop).astype(int)
        for y in (y0, y1)
    )
    # One entry for each row of centers that an edge crosses.
    count = last - first
    edge = np.repeat(np.arange(len(points)), count)
    row = first[edge] + np.arange(len(edge)) - (np.cumsum(count) - count)[edge]
    slope = (x1 - x0)[edge] / (y1 - y0)[edge]
    crossing = x0[edge] + (row + 0.5 - y0[edge]) * slope
    column = np.ceil(crossing - 0.5).clip(columns.start, columns.stop)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    flips = np.zeros((height, width + 1), dtype=bool)
    place = row - rows.start, column.astype(int) - columns.start
    np.logical_xor.at(flips, place, True)
    return np.logical_xor.accumulate(flips, axis=1)[:, :width]


def fill_ellipse(
    center: Sequence[float],
    radii: Sequence[float],
    degrees: float,
    height: int,
    width: int,
) -> Part:
    """Fill an ellipse.

    Args:
        center (Sequence[float]): x and y.
        radii (Sequence[float]): Horizontal and vertical, before the rotation.
        degrees (float): Clockwise rotation.
        height (int): Height of the image.
        width (int): Width of the image.
    """
    center = np.asarray(center)
    reach = max(radii)
    rows, columns = _window(center - reach, center + reach, height, width)
    dx = np.arange(columns.start, columns.stop) + 0.5 - center[0]
    dy = np.arange(rows.start, rows.stop)[:, None] + 0.5 - center[1]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    across, down = dx * cosine + dy * sine, dy * cosine - dx * sine
    # Without a division, which a radius of 0 would not survive.
    product = radii[0] * radii[1]
    mask = (across * radii[1]) ** 2 + (down * radii[0]) ** 2 <= product**2
    return rows, columns, mask & (product > 0)


def draw_lines(
    lines: Sequence[np.ndarray], thickness: int, height: int, width: int
) -> Part:
    """Draw lines, and lines of one point as dots, with round ends.

    Args:
        lines (Sequence[np.ndarray]): Points of each line, (N, 2).
        thickness (int): Thickness in pixels.
        height (int): Height of the image.
        width (int): Width of the image.
    """
    points = np.concatenate(lines)
    low, high = points.min(0) - thickness, points.max(0) + thickness
    rows, columns = _window(low, high, height, width)
    x = np.arange(columns.start, columns.stop) + 0.5
    y = np.arange(rows.start, rows.stop)[:, None] + 0.5
    mask = np.zeros((len(y), len(x)), dtype=bool)
    for line in lines:
        ends = line[1:] if len(line) > 1 else line
        for start, end in zip(line, ends, strict=False):
            dx, dy = end - start
            along = (x - start[0]) * dx + (y - start[1]) * dy
            along = np.clip(along / max(dx * dx + dy * dy, 1e-9), 0, 1)
            away = (x - start[0] - along * dx) ** 2
            away = away + (y - start[1] - along * dy) ** 2
            mask |= away <= thickness**2 / 4
    return rows, columns, mask


def fill_runs(
    counts: Sequence[int],
    shape: tuple[int, int],
    corner: tuple[int, int],
    order: str,
    height: int,
    width: int,
) -> Part:
    """Fill a mask of alternating runs of outer and inner pixels.

    Args:
        counts (Sequence[int]): Lengths of the runs, from :func:`check_runs`.
        shape (tuple[int, int]): Height and width of the mask.
        corner (tuple[int, int]): Column and row of its first pixel.
        order (str): 'C' if runs follow rows, 'F' if they follow columns.
        height (int): Height of the image.
        width (int): Width of the image.
    """
    inside = np.arange(len(counts)) % 2 == 1
    mask = np.repeat(inside, counts).reshape(shape, order=order)
    return _place(mask, corner, height, width)


def check_runs(counts: object, shape: tuple[int, int]) -> np.ndarray:
    """Return run lengths as an array; raise unless they fill the mask.

    Args:
        counts (object): The lengths, or COCO's compressed text of them.
        shape (tuple[int, int]): Height and width of the mask.
    """
    if isinstance(counts, str):
        counts = decompress_runs(counts)
    runs = np.asarray(counts)
    if runs.dtype.kind != 'i' or runs.ndim != 1 or runs.min() < 0:
        raise ValueError('run lengths should be whole numbers, at least 0')
    if runs.sum() != shape[0] * shape[1]:
        raise ValueError(
            f'the run lengths have {runs.sum()} pixels, but the mask has '
            f'{shape[0]} x {shape[1]}'
        )
    return runs


def decompress_runs(text: str) -> list[int]:
    """Decode COCO's compressed run lengths.

    A number has 5 bits in each character, the lowest first; the next bit says
    whether it continues. From the fourth on, it is the difference from the
    number two before.

    Args:
        text (str): The text.

    Raises:
        ValueError: If it is no such text.
    """
    counts: list[int] = []
    number = bits = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f'{character!r} is no part of run lengths')
        number |= (code & 31) << bits
        bits += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << bits
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = bits = 0
    if bits or not counts:
        raise ValueError('the run lengths end early')
    return counts


def fill_bitmap(
    content: str, corner: tuple[int, int], height: int, width: int
) -> Part:
    """Fill the nonzero pixels of an image.

    Args:
        content (str): The image file in Base64.
        corner (tuple[int, int]): Column and row of its first pixel.
        height (int): Height of the image.
        width (int): Width of the image.
    """
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        mask = np.asarray(image.convert('L')) > 0
    return _place(mask, corner, height, width)


def _place(
    mask: np.ndarray, corner: tuple[int, int], height: int, width: int
) -> Part:
    """Crop a mask with a given corner to the image."""
    x, y = corner
    rows, columns = _window(
        np.array([x, y]), np.array([x, y]) + mask.shape[::-1], height, width
    )
    mask = mask[rows.start - y : rows.stop - y]
    return rows, columns, mask[:, columns.start - x : columns.stop - x]


def _window(
    low: np.ndarray, high: np.ndarray, height: int, width: int
) -> tuple[slice, slice]:
    """Return the rows and columns of the image that a box covers."""
    limit = width, height
    left, top = np.clip(np.floor(low).astype(int), 0, limit).tolist()
    right, bottom = np.clip(np.ceil(high).astype(int), 0, limit).tolist()
    return slice(top, max(top, bottom)), slice(left, max(left, right))
