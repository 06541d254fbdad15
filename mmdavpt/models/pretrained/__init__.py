"""Pre-trained weights: read safely, renamed, fitted, loaded strictly."""

from .families import Normalization
from .load import checked_init_cfg, load_pretrained
from .naming import to_mmpretrain
from .reading import read_checkpoint
from .timm_loading import load_into_timm

__all__ = [
    'Normalization',
    'checked_init_cfg',
    'load_into_timm',
    'load_pretrained',
    'read_checkpoint',
    'to_mmpretrain',
]
