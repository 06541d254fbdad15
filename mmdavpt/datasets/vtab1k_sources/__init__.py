"""The datasets behind VTAB's tasks, read from their original downloads.

A source takes the folder into which the download was unpacked and returns
the splits of TensorFlow Datasets, with its keys and in its order, since VTAB
draws its 1,000 training images by them. Labels are those of the VTAB task.
"""

from typing import Callable, Dict

from .example import Example, Splits

#: Source of each task by the canonical name of the task.
SOURCES: Dict[str, Callable[[str], Splits]] = {}

__all__ = ['SOURCES', 'Example', 'Splits']
