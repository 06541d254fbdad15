"""Read variables of MATLAB files."""

import zlib

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from mmdavpt.errors import UsageError

#: SciPy's exceptions for damaged files and files of other types.
ERRORS = (
    IndexError,
    MatReadError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    zlib.error,
)


def read_variables(
    path: str, names: list[str], squeeze: bool = False
) -> list[np.ndarray]:
    """Read variables of a MATLAB file.

    Args:
        path (str): Path of the file.
        names (list[str]): Names of the variables.
        squeeze (bool): Whether to drop axes of length 1. Defaults to False.

    Returns:
        list[np.ndarray]: The variables.

    Raises:
        UsageError: If the file cannot be read or lacks a variable.
    """
    try:
        content = loadmat(path, squeeze_me=squeeze)
    except ERRORS as error:
        raise UsageError(
            f'{path} cannot be read as a MATLAB file ({error}); download it '
            'again'
        ) from error
    missing = [name for name in names if name not in content]
    if missing:
        found = sorted(name for name in content if name[0] != '_')
        raise UsageError(
            f'{path} should have {" and ".join(missing)}, but has {found}; '
            'download it again'
        )
    return [content[name] for name in names]
