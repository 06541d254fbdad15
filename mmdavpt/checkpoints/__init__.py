"""Atomic writing and safe reading of checkpoints."""

from .last import last_checkpoint, write_pointer
from .reading import check_sums, read_run_checkpoint, read_torch
from .safe_loading import install_safe_loading as install_safe_loading
from .writing import SaveError, atomic_write, save_checkpoint
