"""Distribution-aware visual prompt tuning for Vision Transformers."""

from .dependencies import check_dependencies, installed_versions
from .shipped import register_configs
from .version import __version__

check_dependencies(installed_versions())

__all__ = ['__version__', 'register_configs']


def __getattr__(name: str) -> object:
    """Import the Python API on first use: the command line needs no torch."""
    functions = 'create_model load_model save_model trainable_parameters'
    if name not in functions.split():
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from . import api

    return getattr(api, name)
