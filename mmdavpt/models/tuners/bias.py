"""Learnable shifts of frozen biases (section 3.5)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmdavpt.registry import TUNERS

from .tuner import PARTS, BackboneSizes, FrozenWeights, Tuner


@TUNERS.register_module()
class Bias(Tuner):
    """Add a learnable shift, initially zero, to frozen biases.

    DA-VPT+ (section 3.5) is ``parts=('k', 'v')``, which a backbone's option
    ``bias=('k', 'v')`` abbreviates.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        parts (Sequence[str]): Projections out of ``PARTS``, each at most
            once. Defaults to ('k', 'v').

    Raises:
        ValueError: If a part is unknown or given twice.
    """

    def __init__(
        self, sizes: BackboneSizes, parts: Sequence[str] = ('k', 'v')
    ) -> None:
        super().__init__(sizes)
        self.parts = checked_parts('bias (`parts` of Bias)', parts)
        for part in sorted(self.parts):  # the order of 0.1.0's optimizers
            shape = (sizes.num_layers, sizes.parts[part][1])
            self.register_parameter(part, nn.Parameter(torch.zeros(shape)))

    def bias(self, layer: int, part: str) -> Tensor:
        """Return the shift of a part: see :meth:`.Tuner.bias`."""
        return getattr(self, part)[layer]

    def fold(self, weights: FrozenWeights) -> None:
        """Add the shifts to the frozen biases, exactly."""
        for part in self.parts:
            for layer, shift in enumerate(getattr(self, part)):
                weights.bias(layer, part).add_(shift)


def checked_parts(option: str, parts: Sequence[str]) -> tuple[str, ...]:
    """Return names of projections.

    Args:
        option (str): Name of the option in the message.
        parts (Sequence[str]): Names out of ``PARTS``.

    Raises:
        ValueError: If there are none, or one is unknown or given twice.
    """
    if (
        isinstance(parts, str)
        or not parts
        or not set(parts) <= set(PARTS)
        or len(set(parts)) != len(parts)
    ):
        raise ValueError(
            f'{option} should list parts out of {PARTS}, each once, but got '
            f'{parts!r}'
        )
    return tuple(parts)
