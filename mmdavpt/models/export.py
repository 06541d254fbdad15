"""Fold tuners into the weights of a plain prompted backbone."""

import copy

import torch
from torch import Tensor, nn

from mmdavpt.errors import UsageError

from .tuners import acting
from .tuners.tuner import FrozenWeights


def fold_tuners(model: nn.Module) -> dict[str, Tensor]:
    """Fold all tuners of a model into its frozen weights.

    Args:
        model (nn.Module): See :func:`fold_model`.

    Returns:
        dict[str, Tensor]: State of the same model with ``bias=()``,
        ``tuners=()`` and ``frozen_dtype=None``.

    Raises:
        UsageError: If there are no tuners, or one cannot be folded.
    """
    if not any(getattr(m, 'all_tuners', list)() for m in model.modules()):
        raise UsageError('the model has no tuners or bias shifts to fold')
    return fold_model(model).state_dict()


@torch.no_grad()
def fold_model(model: nn.Module) -> nn.Module:
    """Return a copy of a model with all tuners folded into frozen weights.

    Changes of modules act first, then shifts of biases, and both are folded
    first; all others are folded in their order. The weights are float32, also
    with ``frozen_dtype``, and the copy computes in it.

    Args:
        model (nn.Module): A backbone, or a model that has one.

    Raises:
        UsageError: If a tuner cannot be folded.
    """
    folded = copy.deepcopy(model)
    for backbone in [m for m in folded.modules() if hasattr(m, 'all_tuners')]:
        backbone.store_frozen(None)  # bfloat16 would round changes away
        found = acting(backbone.all_tuners())
        first = [*found.get('adapt', ()), *found.get('bias', ())]
        others = [t for t in backbone.all_tuners() if t not in first]
        for tuner in (*first, *others):
            tuner.fold(FrozenWeights(backbone))
            for module, _ in tuner.wrapped:
                del module.forward
        backbone.bias_delta = None
        backbone.tuners = nn.ModuleDict()
    return folded
