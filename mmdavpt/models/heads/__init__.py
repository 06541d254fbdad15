from .feature_pyramid import FeaturePyramid
from .linear_head import LinearSegHead

__all__ = ['FeaturePyramid', 'LinearSegHead']
