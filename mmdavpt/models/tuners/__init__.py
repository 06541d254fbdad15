from .acting import Acting, LayerTuners, acting
from .adapter import Adapter
from .adaptformer import AdaptFormer
from .attention_temperature import AttentionTemperature
from .bias import Bias
from .build import build_tuners, check_method
from .e2vpt import E2VPT
from .lora import LoRA
from .mosa import MoSA
from .peft import Peft
from .psrp import PSRP
from .selective import SelectiveTuner
from .snf import SNF
from .spt import SPT
from .ssf import SSF
from .tuner import PARTS, POINTS, BackboneSizes, Tuner

__all__ = [
    'Acting',
    'AdaptFormer',
    'Adapter',
    'AttentionTemperature',
    'BackboneSizes',
    'Bias',
    'E2VPT',
    'LayerTuners',
    'LoRA',
    'MoSA',
    'PARTS',
    'POINTS',
    'Peft',
    'PSRP',
    'SNF',
    'SPT',
    'SSF',
    'SelectiveTuner',
    'Tuner',
    'acting',
    'build_tuners',
    'check_method',
]
