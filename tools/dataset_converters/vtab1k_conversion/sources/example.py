"""Examples of the datasets behind VTAB's tasks."""

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image


class Example(NamedTuple):
    """One labelled image of a dataset.

    Attributes:
        key (str | int): Key of the example in TensorFlow Datasets, which
            determines the order of its split.
        label (int): Label of the VTAB task, from 0.
        read (Callable): Opens the image in RGB; picklable.
    """

    key: str | int
    label: int
    read: Callable[[], Image.Image]


#: Examples of splits of TensorFlow Datasets, in any order.
Splits = dict[str, list[Example]]
