"""Distribution-aware visual prompt tuning for Vision Transformers."""
from .version import __version__

__all__ = ['__version__']
