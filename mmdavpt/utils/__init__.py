"""What the command line tools are made of."""

from .errors import UsageError

__all__ = ['UsageError']
