"""Pre-trained weights: read safely, renamed, fitted, loaded strictly."""

from .families import Normalization
from .load import checked_init_cfg, load_pretrained
from .naming import to_mmpretrain
from .reading import read_checkpoint
from .settings import ASSUMED, BackboneSettings, read_settings, timm_settings
from .timm_loading import load_into_timm
