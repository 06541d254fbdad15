"""Distribution-aware visual prompt tuning for Vision Transformers."""

from .dependencies import check_dependencies, installed_versions
from .shipped import register_configs
from .version import __version__

check_dependencies(installed_versions())

__all__ = ['__version__', 'register_configs']
