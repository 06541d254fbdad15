"""Pre-trained weights: read safely, renamed, fitted, loaded strictly."""

from .families import NamedWeights, Normalization, to_mmpretrain
from .load import checked_init_cfg, fit_to, load_pretrained
from .reading import Checkpoint, read_checkpoint

__all__ = [
    'Checkpoint',
    'NamedWeights',
    'Normalization',
    'checked_init_cfg',
    'fit_to',
    'load_pretrained',
    'read_checkpoint',
    'to_mmpretrain',
]
