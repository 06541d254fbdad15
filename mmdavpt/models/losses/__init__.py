"""The guidance loss and its metrics."""

from .davpt_loss import PRESETS, DAVPTLoss
from .proxy_anchor import ProxyAnchor, proxy_anchor_loss
from .proxy_nca import ProxyNCA, proxy_nca_loss
from .similarity import cosine_similarity_matrix
from .softmax import Softmax, softmax_loss
from .symmetric_kl import symmetric_kl
from .triplet import Triplet, triplet_loss
