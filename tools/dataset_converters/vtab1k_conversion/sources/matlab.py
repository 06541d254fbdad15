"""Read arrays out of MATLAB files."""

import zlib

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from .downloads import Download


def arrays_from_mat(
    download: Download, path: str, *names: str
) -> list[np.ndarray]:
    """Read arrays by name.

    Args:
        download (Download): The download that the file is part of.
        path (str): Path of the file.
        *names (str): Names of the arrays.

    Returns:
        list[np.ndarray]: The arrays.

    Raises:
        UsageError: If the file cannot be read or lacks an array.
    """
    try:
        content = loadmat(path, variable_names=names)
        return [content[name] for name in names]
    except (
        IndexError,
        KeyError,
        MatReadError,
        NotImplementedError,
        OSError,
        TypeError,
        ValueError,
        zlib.error,
    ) as error:
        download.fail(
            f'{path} should be a MATLAB file with {" and ".join(names)}, but '
            f'it cannot be read as one ({error})'
        )
