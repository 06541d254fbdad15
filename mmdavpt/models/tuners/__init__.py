from .acting import Acting, LayerTuners, acting
from .adaptformer import AdaptFormer
from .bias import Bias
from .build import build_tuners
from .lora import LoRA
from .tuner import PARTS, POINTS, BackboneSizes, Tuner

__all__ = [
    'Acting',
    'AdaptFormer',
    'BackboneSizes',
    'Bias',
    'LayerTuners',
    'LoRA',
    'PARTS',
    'POINTS',
    'Tuner',
    'acting',
    'build_tuners',
]
