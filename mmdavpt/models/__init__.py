from .backbones import DAVPTTimmViT, DAVPTVisionTransformer
from .classifier import DAVPTImageClassifier
from .cls_tta import LabelingClsTTAModel
from .guidance import PromptGuidance
from .heads import FeaturePyramid, LinearSegHead, MomentProbingHead
from .losses import DAVPTLoss
from .seg_tta import RunningSegTTAModel
from .segmentor import DAVPTEncoderDecoder
from .trainable import count_parameters, parameter_table, select_trainable

__all__ = [
    'DAVPTEncoderDecoder',
    'DAVPTImageClassifier',
    'DAVPTLoss',
    'DAVPTTimmViT',
    'DAVPTVisionTransformer',
    'FeaturePyramid',
    'LabelingClsTTAModel',
    'LinearSegHead',
    'MomentProbingHead',
    'PromptGuidance',
    'RunningSegTTAModel',
    'count_parameters',
    'parameter_table',
    'select_trainable',
]
