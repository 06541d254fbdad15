"""Pre-trained weights: read safely, renamed, fitted, loaded strictly."""

from .families import Normalization
from .load import checked_init_cfg, fit_to, load_pretrained
from .naming import NamedWeights, to_mmpretrain
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
