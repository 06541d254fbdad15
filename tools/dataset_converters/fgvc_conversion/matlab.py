"""Read variables of MATLAB files as plain lists."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmdavpt.errors import UsageError

from ..matlab_files import read_variables
from .original import missing_file


def read_mat(
    folder: str, paths: Sequence[str], names: list[str]
) -> list[np.ndarray]:
    """Return variables of the first MATLAB file that exists.

    Args:
        folder (str): Folder of the download.
        paths (Sequence[str]): Possible paths of the file in the folder.
        names (list[str]): Names of the variables.

    Returns:
        list[np.ndarray]: The variables, each with one axis.

    Raises:
        UsageError: If there is no such file, or it lacks a variable.
    """
    found = filter(osp.isfile, (osp.join(folder, path) for path in paths))
    path = next(found, None)
    if path is None:
        raise missing_file(folder, ' or '.join(paths))
    return [np.atleast_1d(v) for v in read_variables(path, names, True)]


def columns(
    rows: np.ndarray, names: Sequence[str], folder: str
) -> list[np.ndarray]:
    """Return columns of a MATLAB struct array.

    Args:
        rows (np.ndarray): The array, with one axis.
        names (Sequence[str]): Names of the columns.
        folder (str): Folder of the download, for the message.

    Raises:
        UsageError: If a column is missing.
    """
    fields = rows.dtype.names or ()
    missing = [name for name in names if name not in fields]
    if missing:
        raise UsageError(
            f'the annotations of {folder} lack {" and ".join(missing)}; '
            'download those of the test images with labels'
        )
    return [rows[name] for name in names]


def strings(values: Sequence[Any]) -> list[str]:
    """Return paths or names as strings, with forward slashes."""
    return [str(value).replace('\\', '/') for value in values]


def integers(values: Sequence[Any], folder: str) -> list[int]:
    """Return non-negative integers.

    Raises:
        UsageError: If there are other values.
    """
    array = np.asarray(values)
    if array.dtype == object:
        # Fields of a struct array are objects.
        array = np.array([np.asarray(value).item() for value in values])
    if array.dtype.kind not in 'biuf' or not np.all(array >= 0):
        raise UsageError(
            f'the lists of {folder} should have integers from 0, but have '
            f'{array.dtype} values; download them again'
        )
    return array.astype(np.int64).tolist()


def paired(
    paths: Sequence[Any], classes: Sequence[Any], folder: str
) -> dict[str, int]:
    """Return class ids by image path.

    Raises:
        UsageError: If their lengths differ, or a path occurs twice.
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
