"""Checkpoints: written whole or not at all, read without executing them."""

from .last import last_checkpoint, write_pointer
from .reading import read_run_checkpoint, read_torch
from .writing import SaveError, replacing, save_checkpoint

__all__ = [
    'SaveError',
    'last_checkpoint',
    'read_run_checkpoint',
    'read_torch',
    'replacing',
    'save_checkpoint',
    'write_pointer',
]
