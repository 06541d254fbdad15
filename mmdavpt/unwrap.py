"""Unwrap distributed models."""

from typing import cast

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside its distributed wrappers, if it has any.

    Args:
        model (nn.Module): The model of a runner.
    """
    while is_model_wrapper(model):
        model = cast(nn.Module, model.module)
    return model


def model_of(model: nn.Module) -> nn.Module:
    """Return the model inside distributed and test-time wrappers."""
    model = unwrap(model)
    return model_of(model.module) if isinstance(model, BaseTTAModel) else model
