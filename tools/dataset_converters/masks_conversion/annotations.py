"""One image with its annotation, and shared parts of the readers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmdavpt.datasets.image_files import UNDECODABLE
from mmdavpt.errors import UsageError

#: The label of shapes whose pixels are ignored, as in LabelMe.
IGNORED = '__ignore__'
#: Exceptions for a value of an unexpected kind.
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError)


#: Height and width.
Size = tuple[int, int]


class Shape(NamedTuple):
    """One annotated region.

    Args:
        label (str): Its label, as in the source.
        fill (Callable): Takes height and width of the image, and returns a
            mask.
        layer (int): Shapes of a higher layer are on top. Defaults to 0.
    """

    label: str
    fill: Callable[[Size], np.ndarray]
    layer: int = 0


@dataclass
class Sample:
    """An image and its annotation.

    Args:
        name (str): Name of the image, then of the output, without suffix.
        source (str): The mask, or the annotation for messages.
        size (tuple): Width and height of the image, as the annotation states
            them; None where it does not.
        shapes (list[Shape]): The shapes, from bottom to top.
        image (str, optional): The image file. Defaults to None: not found.
    """

    name: str
    source: str
    size: tuple
    shapes: list[Shape]
    image: str | None = None


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
    except (*MALFORMED, *UNDECODABLE) as error:
        raise UsageError(f'{what} is malformed: {error}') from error


def read_json(path: str) -> dict:
    """Read a JSON file, in UTF-8 or UTF-16.

    Args:
        path (str): The file.

    Raises:
        UsageError: If it is malformed.
    """
    with open(path, 'rb') as file, blame(path):
        return json.loads(file.read())


def check_label(label: object) -> str:
    """Return a label without surrounding spaces; raise if it is no text."""
    if not isinstance(label, str) or len(label.strip().splitlines()) != 1:
        raise ValueError(f'a label should be a line of text, but is {label!r}')
    label.encode()  # Raises for half a character, which no file can hold.
    return label.strip()
