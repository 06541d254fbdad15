"""One image with its annotation, and shared parts of the readers."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mmdavpt.errors import UsageError

#: The label of shapes whose pixels are ignored, as in LabelMe.
IGNORED = '__ignore__'
#: What reading a value of an unexpected kind raises.
MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
#: Larger coordinates, in pixels, are a mistake.
MAX_COORDINATE = 1e6


class Shape(NamedTuple):
    """One annotated region.

    Args:
        label (str): Its label, as in the source.
        fill (Callable, optional): Takes the height and width of the image and
            returns rows, columns and the mask within them; picklable. None
            for a shape without an area.
        kind (str): Its kind, for the summary.
        layer (int): Shapes of a higher layer are on top. Defaults to 0.
    """

    label: str
    fill: Callable[[int, int], tuple[slice, slice, np.ndarray]] | None
    kind: str
    layer: int = 0


class Sample(NamedTuple):
    """An image and its annotation.

    Args:
        name (str): Path in the output folder, without a suffix.
        image (str, optional): The image file, or the JSON file that embeds
            it; None if there is none.
        source (str): The annotation, for messages.
        size (tuple[int, int], optional): Width and height of the image, as
            the annotation states them.
        shapes (list[Shape]): The shapes, from bottom to top.
        mask (str): The mask file, instead of shapes. Defaults to ''.
    """

    name: str
    image: str | None
    source: str
    size: tuple[int, int] | None
    shapes: list[Shape]
    mask: str = ''


class Annotations(NamedTuple):
    """What a reader returns.

    Args:
        samples (list[Sample]): The samples.
        labels (list[str]): All labels that the source declares, in order.
        dropped (dict[str, int]): What was left out, and how often.
    """

    samples: list[Sample]
    labels: list[str]
    dropped: dict[str, int]


@contextmanager
def blame(what: str) -> Iterator[None]:
    """Turn an error in a file's content into one sentence.

    Args:
        what (str): The file, or a part of it.
    """
    try:
        yield
    except UsageError:
        raise
    except KeyError as error:
        raise UsageError(f'{what} lacks {error}') from error
    except RecursionError as error:
        raise UsageError(f'{what} is nested too deeply') from error
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f'{what} cannot be read: {reason}') from error
    except MALFORMED as error:
        raise UsageError(f'{what} is malformed: {error}') from error


def read_json(path: str) -> dict[str, Any]:
    """Read a JSON file that holds an object, in UTF-8 or UTF-16.

    Args:
        path (str): The file.

    Raises:
        UsageError: If it does not.
    """
    with blame(path), open(path, 'rb') as file:
        content = json.loads(file.read())
        if not isinstance(content, dict):
            raise ValueError('it should hold an object in braces')
        return content


def read_size(width: object, height: object) -> tuple[int, int] | None:
    """Return a size; None if a part of it is missing."""
    if width is None or height is None:
        return None
    return int(width), int(height)


def check_label(label: object) -> str:
    """Return a label without surrounding spaces; raise if it is no text."""
    if not isinstance(label, str) or not label.strip():
        raise ValueError(f'a label should be text, but is {label!r}')
    if len(label.strip().splitlines()) > 1:
        raise ValueError(f'the label {label!r} has several lines')
    label.encode()  # Raises for half a character, which no file can hold.
    return label.strip()


def check_points(values: object) -> np.ndarray:
    """Return pairs or a flat list of coordinates as an array (N, 2)."""
    points = np.asarray(values, dtype=float)
    if points.shape[-1] % 2 or points.ndim > 1 and points.shape[-1] != 2:
        raise ValueError(f'{points.size} coordinates are no pairs of x and y')
    # Also False for NaN.
    if not np.all(np.abs(points) < MAX_COORDINATE):
        raise ValueError('a coordinate is not a number or too large')
    return points.reshape(-1, 2)
