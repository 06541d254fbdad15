"""Fold tuners into the weights of a plain prompted backbone."""

import copy

import torch
from torch import Tensor, nn

from mmdavpt.errors import UsageError

from .tuners import acting
from .tuners.frozen_weights import FrozenWeights


@torch.no_grad()
def fold_tuners(model: nn.Module) -> dict[str, Tensor]:
    """Fold all tuners of a model into its frozen weights.

    The model does not change. Changes of modules act first, then shifts of
    biases, and both are folded first; all others are folded in their order.

    Args:
        model (nn.Module): A backbone, or a model that has one.

    Returns:
        dict[str, Tensor]: State of the same model with ``bias=()`` and
        ``tuners=()``.

    Raises:
        UsageError: If there are no tuners, or one cannot be folded.
    """
    folded = copy.deepcopy(model)
    tuned = [m for m in folded.modules() if getattr(m, 'all_tuners', None)]
    if not any(backbone.all_tuners() for backbone in tuned):
        raise UsageError('the model has no tuners or bias shifts to fold')
    for backbone in tuned:
        found = acting(backbone.all_tuners())
        first = [*found.get('adapt', ()), *found.get('bias', ())]
        others = [t for t in backbone.all_tuners() if t not in first]
        for tuner in (*first, *others):
            tuner.fold(FrozenWeights(backbone))
        backbone.bias_delta = None
        backbone.tuners = nn.ModuleDict()
    return folded.state_dict()
