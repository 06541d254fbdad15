"""Read variables of MATLAB files as plain lists."""

import os.path as osp
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from mmdavpt.errors import UsageError

from .original import missing_file


def read_mat(
    folder: str, places: Sequence[str], keys: Sequence[str]
) -> list[np.ndarray]:
    """Return variables of the first of the MATLAB files that is there.

    Args:
        folder (str): The folder of the download.
        places (Sequence[str]): Where the file may be, relative to it.
        keys (Sequence[str]): The names of the variables.

    Returns:
        list[np.ndarray]: The variables, each with one axis.

    Raises:
        UsageError: If there is no such file, or it lacks a variable.
    """
    path = next(
        filter(osp.isfile, (osp.join(folder, place) for place in places)), None
    )
    if path is None:
        raise missing_file(folder, ' or '.join(places))
    try:
        content = loadmat(path, squeeze_me=True)
    except (
        MatReadError,
        NotImplementedError,
        OSError,
        TypeError,
        ValueError,
        zlib.error,
    ):
        raise UsageError(
            f'{path} is no MATLAB file, or is cut short; download it again'
        ) from None
    lacking = [key for key in keys if key not in content]
    if lacking:
        raise UsageError(
            f'{path} should have {" and ".join(lacking)}, but has '
            f'{sorted(k for k in content if k[0] != "_")}; download it again'
        )
    return [np.atleast_1d(content[key]) for key in keys]


def columns(
    rows: np.ndarray, names: Sequence[str], folder: str
) -> list[np.ndarray]:
    """Return columns of a MATLAB struct array.

    Args:
        rows (np.ndarray): The array, with one axis.
        names (Sequence[str]): The names of the columns.
        folder (str): The folder of the download, for the error.

    Raises:
        UsageError: If a column is missing.
    """
    fields = rows.dtype.names or ()
    lacking = [name for name in names if name not in fields]
    if lacking:
        raise UsageError(
            f'the annotations of {folder} lack {" and ".join(lacking)}: those '
            'of test images without labels are not enough'
        )
    return [rows[name] for name in names]


def strings(values: Sequence[Any]) -> list[str]:
    """Return paths or names; paths with forward slashes."""
    return [str(value).replace('\\', '/') for value in values]


def integers(values: Sequence[Any], folder: str) -> list[int]:
    """Return whole numbers that are not negative.

    Raises:
        UsageError: If something else is among them.
    """
    array = np.asarray(values)
    if array.dtype == object:
        # Struct fields come one by one.
        array = np.array([np.asarray(value).item() for value in values])
    if array.dtype.kind not in 'biuf' or not np.all(array >= 0):
        raise UsageError(
            f'the lists of {folder} have {array.dtype} values where numbers '
            'from 0 should be; download them again'
        )
    return array.astype(np.int64).tolist()


def paired(
    paths: Sequence[Any], classes: Sequence[Any], folder: str
) -> dict[str, int]:
    """Return class ids by image path.

    Raises:
        UsageError: If the two are not of one length, or a path stands twice.
    """
    paths, classes = strings(paths), integers(classes, folder)
    entries = dict(zip(paths, classes, strict=False))
    if not len(entries) == len(paths) == len(classes):
        raise UsageError(
            f'the lists of {folder} have {len(set(paths))} different images '
            f'of {len(paths)}, and {len(classes)} classes for them; download '
            'them again'
        )
    return entries
