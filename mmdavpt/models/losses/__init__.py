"""The guidance loss and its metrics."""

from .davpt_loss import PRESETS, DAVPTLoss
from .proxy_anchor import ProxyAnchor
from .proxy_nca import ProxyNCA
from .similarity import cosine_similarity_matrix
from .softmax import Softmax
from .symmetric_kl import symmetric_kl
from .triplet import Triplet
