"""The guidance loss: pure functions and the registered module."""

from .davpt_loss import PRESETS, DAVPTLoss
from .proxy_anchor import cosine_similarity_matrix, proxy_anchor_loss
from .proxy_nca import proxy_nca_loss
from .triplet import triplet_loss

__all__ = [
    'PRESETS',
    'DAVPTLoss',
    'cosine_similarity_matrix',
    'proxy_anchor_loss',
    'proxy_nca_loss',
    'triplet_loss',
]
