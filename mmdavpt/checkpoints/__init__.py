"""Atomic writing and safe reading of checkpoints."""

from .last import last_checkpoint as last_checkpoint
from .last import write_pointer as write_pointer
from .reading import read_run_checkpoint as read_run_checkpoint
from .reading import read_torch as read_torch
from .safe_loading import install_safe_loading as install_safe_loading
from .writing import SaveError as SaveError
from .writing import atomic_write as atomic_write
from .writing import save_checkpoint as save_checkpoint
