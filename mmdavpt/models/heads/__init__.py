from .feature_pyramid import FeaturePyramid
from .linear_head import LinearSegHead
from .moment_probing import MomentProbingHead
