"""What a source of VTAB hands out."""

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image


class Example(NamedTuple):
    """One labelled image of a dataset as it was published.

    Attributes:
        key (str | int): The key that TensorFlow Datasets gives the example;
            the order of its split follows from it.
        label (int): Label of the VTAB task, from 0.
        read (Callable): Opens the image, in RGB. Picklable, so that other
            processes can call it.
    """

    key: str | int
    label: int
    read: Callable[[], Image.Image]


#: Splits of TensorFlow Datasets with their examples, whose order says nothing.
Splits = dict[str, list[Example]]
