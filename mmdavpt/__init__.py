"""Distribution-aware visual prompt tuning for Vision Transformers."""

from .host_check import check_hosts, installed_versions
from .version import __version__

check_hosts(installed_versions())

__all__ = ['__version__']
