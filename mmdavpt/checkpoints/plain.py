"""Convert metadata of a checkpoint to types that load without unpickling."""

from pathlib import PurePath

import numpy as np
import torch
from mmengine.config import ConfigDict

from mmdavpt.dependencies import installed_versions
from mmdavpt.version import __version__


def to_plain(value: object) -> object:
    """Convert NumPy numbers, paths and special containers to Python's own.

    Functions in dicts are dropped. The state of
    :class:`mmengine.optim.OneCycleLR` contains one, which cannot be read
    without unpickling. Schedulers keep attributes that a state lacks as they
    were built.

    Args:
        value (object): Dicts, lists and tuples are converted recursively;
            other types are returned unchanged.
    """
    if isinstance(value, ConfigDict):
        value = value.to_dict()
    for kind in (list, tuple):
        if isinstance(value, kind):
            return kind(to_plain(item) for item in value)
    if isinstance(value, dict):
        items = [item for item in value.items() if not callable(item[1])]
        return {to_plain(key): to_plain(item) for key, item in items}
    if isinstance(value, PurePath):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that write a checkpoint, by name."""
    own = dict(mmdavpt=__version__, torch=str(torch.__version__))
    return installed_versions() | own
