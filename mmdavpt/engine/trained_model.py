"""The model that a runner trains, and what kind of model it is."""

from torch import nn


def is_segmentor(model: nn.Module) -> bool:
    """Return whether a model learns from annotations of pixels."""
    return hasattr(model, 'decode_head')
