"""Fold tuners into the weights of a plain prompted backbone."""

import copy

import torch
from torch import Tensor, nn

from mmdavpt.errors import UsageError

from .backbones.layer_kinds import view_of
from .tuners import acting


class FrozenWeights:
    """Weights of a backbone that tuners are folded into, in place.

    Args:
        backbone (nn.Module): A ``PromptedBackbone``.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone

    def weight(self, layer: int, part: str) -> Tensor:
        """Return the weight of a projection, (out, in).

        Args:
            layer (int): Index of the layer.
            part (str): One of :data:`~mmdavpt.models.tuners.PARTS`.
        """
        module, rows = self._backbone.linear(layer, part)
        return module.weight[rows]

    def bias(self, layer: int, part: str) -> Tensor:
        """Return the bias of a projection, (out, ).

        Raises:
            UsageError: If the projection has none.
        """
        bias = view_of(self._backbone.layers[layer]).bias(part)
        if bias is None:
            raise UsageError(
                f'the projection {part!r} of the backbone has no bias that a '
                'tuner could be folded into (`qkv_bias=False`)'
            )
        return bias

    def scale(self, layer: int, part: str, factor: Tensor) -> None:
        """Multiply a projection, and its bias if it has one.

        Args:
            layer (int): Index of the layer.
            part (str): See :meth:`weight`.
            factor (Tensor): A scalar.
        """
        self.weight(layer, part).mul_(factor)
        bias = view_of(self._backbone.layers[layer]).bias(part)
        if bias is not None:
            bias.mul_(factor)

    def norm(self, layer: int, which: str) -> nn.Module:
        """Return a normalization: see :meth:`.Tuner.norm`."""
        if which == 'final':
            return self._backbone.output_norm
        return view_of(self._backbone.layers[layer]).norm(which)

    def embedding(self) -> nn.Module:
        """Return the patch projection: see :meth:`.Tuner.embed`."""
        return self._backbone.patch_projection


def fold_tuners(model: nn.Module) -> dict[str, Tensor]:
    """Fold all tuners of a model into its frozen weights.

    Args:
        model (nn.Module): See :func:`fold_model`.

    Returns:
        dict[str, Tensor]: State of the same model with ``bias=()`` and
        ``tuners=()``.

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
    first; all others are folded in their order.

    Args:
        model (nn.Module): A backbone, or a model that has one.

    Raises:
        UsageError: If a tuner cannot be folded.
    """
    folded = copy.deepcopy(model)
    for backbone in [m for m in folded.modules() if hasattr(m, 'all_tuners')]:
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
