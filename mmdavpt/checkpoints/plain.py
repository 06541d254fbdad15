"""Facts of a checkpoint in a form that is read without unpickling."""

from pathlib import PurePath
from typing import Any

import numpy as np
from mmengine.config import ConfigDict

from mmdavpt.host_check import installed_versions
from mmdavpt.version import __version__


def plain(value: Any) -> Any:
    """Return facts with numbers of numpy, paths and containers made plain.

    Args:
        value (Any): Dicts, lists and tuples of all kinds are gone through,
            and become those of Python; what is of another kind stays as it
            is.
    """
    if isinstance(value, ConfigDict):
        value = value.to_dict()
    for kind in (list, tuple):
        if isinstance(value, kind):
            return kind(plain(item) for item in value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def without_functions(states: Any) -> Any:
    """Return states of schedulers without the functions in them.

    Those of :class:`mmengine.optim.OneCycleLR` hold one, which is not read
    back without being executed. Schedulers keep what a state lacks as they
    were built with it.

    Args:
        states (Any): A dict or list; such in it are gone through.
    """
    if type(states) is dict:
        return {
            key: without_functions(value)
            for key, value in states.items()
            if not callable(value)
        }
    if type(states) is list:
        return [without_functions(value) for value in states]
    return states


def package_versions() -> dict[str, str]:
    """Return name -> version of what a checkpoint was made with."""
    import torch

    return dict(
        installed_versions(),
        mmdavpt=__version__,
        torch=str(torch.__version__),
    )
