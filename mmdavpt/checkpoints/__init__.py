"""Checkpoints: written whole or not at all, read without executing them."""

from .host_loading import make_hosts_load_safely
from .last import last_checkpoint, write_pointer
from .reading import read_run_checkpoint, read_torch
from .writing import SaveError, replacing, save_checkpoint

make_hosts_load_safely()

__all__ = [
    'SaveError',
    'last_checkpoint',
    'read_run_checkpoint',
    'read_torch',
    'replacing',
    'save_checkpoint',
    'write_pointer',
]
