from .linear_head import LinearSegHead
from .moment_probing import MomentProbingHead

__all__ = ['LinearSegHead', 'MomentProbingHead']
