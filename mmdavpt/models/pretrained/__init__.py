"""Pre-trained weights: read safely, renamed, fitted, loaded strictly."""

from .families import NamedWeights, Normalization, to_mmpretrain
from .load import fit_to, load_pretrained
from .reading import Checkpoint, read_checkpoint

__all__ = [
    'Checkpoint',
    'NamedWeights',
    'Normalization',
    'fit_to',
    'load_pretrained',
    'read_checkpoint',
    'to_mmpretrain',
]
