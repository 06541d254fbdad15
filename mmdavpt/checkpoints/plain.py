"""Facts of a checkpoint in a form that is read without unpickling."""

from typing import Any

import numpy as np
from mmengine.config import ConfigDict

from mmdavpt.host_check import installed_versions
from mmdavpt.version import __version__


def plain(value: Any) -> Any:
    """Return facts with numbers of numpy and parts of configs made plain.

    Args:
        value (Any): Dicts, lists and tuples are gone through; what is of
            another kind stays as it is.
    """
    if isinstance(value, ConfigDict):
        value = value.to_dict()
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if isinstance(value, dict):
        return type(value)((key, plain(item)) for key, item in value.items())
    return value.item() if isinstance(value, np.generic) else value


def package_versions() -> dict[str, str]:
    """Return name -> version of what a checkpoint was made with."""
    import torch

    return dict(
        installed_versions(),
        mmdavpt=__version__,
        torch=str(torch.__version__),
    )
