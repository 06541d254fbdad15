"""CIFAR-100, from its binary files or its pickles, without running code."""

import pickle
from functools import partial
from typing import Any

import numpy as np

from .downloads import Download
from .example import Example, Splits
from .images import image_from_array

CIFAR100 = Download(
    'CIFAR-100',
    'cifar-100-binary.tar.gz or cifar-100-python.tar.gz',
    'https://www.cs.toronto.edu/~kriz/cifar.html',
)
#: A record of the binary files: coarse label, fine label, 3 x 32 x 32 pixels.
RECORD = 2 + 3072


def cifar100(folder: str) -> Splits:
    """Read CIFAR-100 with its 100 fine labels.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train' and 'test', with the index in the
        file as key.

    Raises:
        UsageError: If something is missing or malformed.
    """
    return {split: _split(folder, split) for split in ('train', 'test')}


def _split(folder: str, split: str) -> list:
    """Return the examples of a split from the file that exists."""
    path = CIFAR100.find(folder, f'cifar-100-binary/{split}.bin')
    if path is not None:
        labels, pixels = _read_binary(path)
    else:
        labels, pixels = _read_pickle(
            CIFAR100.locate(folder, f'cifar-100-python/{split}')
        )
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return [
        Example(index, int(label), partial(image_from_array, image))
        for index, (label, image) in enumerate(
            zip(labels, images, strict=True)
        )
    ]


def _read_binary(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return fine labels (N, ) and pixels (N, 3072)."""
    content = np.fromfile(path, np.uint8)
    if not content.size or content.size % RECORD:
        CIFAR100.fail(
            f'{path} should hold records of {RECORD} bytes, but it has '
            f'{content.size} bytes'
        )
    records = content.reshape(-1, RECORD)
    return records[:, 1], records[:, 2:]


def _read_pickle(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return fine labels (N, ) and pixels (N, 3072)."""
    with open(path, 'rb') as file:
        try:
            batch = ArrayUnpickler(file, encoding='latin1').load()
            labels = np.asarray(batch['fine_labels'])
            pixels = np.asarray(batch['data'])
            complete = pixels.dtype == np.uint8 and pixels.shape == (
                len(labels),
                3072,
            )
        except (
            pickle.UnpicklingError,
            EOFError,
            KeyError,
            IndexError,
            TypeError,
            ValueError,
        ) as error:
            CIFAR100.fail(f'{path} cannot be read ({error})')
    if not complete:
        CIFAR100.fail(
            f'{path} should hold 3072 bytes for each of its {len(labels)} '
            f'labels, but its data has shape {pixels.shape}'
        )
    return labels, pixels


def _empty_array(_: type, shape: tuple, dtype: Any) -> np.ndarray:
    """Make an array that the pickle fills later."""
    return np.ndarray(shape, dtype)


def _dtype(name: str, *_: Any) -> np.dtype:
    """Make a dtype from its name."""
    return np.dtype(name)


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler of containers, numbers, strings and NumPy arrays.

    A pickle can call any function of any module. This unpickler only finds
    what an array needs.
    """

    KNOWN = {
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): _dtype,
        ('numpy.core.multiarray', '_reconstruct'): _empty_array,
        ('numpy._core.multiarray', '_reconstruct'): _empty_array,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return the object of a name, if an array needs it.

        Args:
            module (str): Name of the module.
            name (str): Name in it.

        Raises:
            pickle.UnpicklingError: If an array does not need it.
        """
        try:
            return self.KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'it names {module}.{name}, which no array needs'
            ) from None
