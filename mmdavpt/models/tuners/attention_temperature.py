"""Learnable temperatures of attention (Yoo et al., ICML 2023)."""

import torch
from torch import Tensor, nn

from mmdavpt.errors import UsageError
from mmdavpt.registry import TUNERS

from .tuner import BackboneSizes, FrozenWeights, Tuner

#: Limits of a temperature, as published.
LIMITS = (0.01, 10.0)


@TUNERS.register_module()
class AttentionTemperature(Tuner):
    r"""Divide the attention scores of each layer by a temperature.

    .. math::
        \mathrm{softmax}(q k^T / (t \sqrt{d}))\, v

    Temperatures start at 1 and act within 0.01 and 10. A gradient also
    reaches one beyond its limit, so that it can return: the published code
    (ryongithub/GatedPromptTuning) clamps them before each pass. ViT-B has 12
    parameters.

    GateVPT is this tuner with ``num_prompts=(100, 0, 0, ...)`` and
    ``propagate='gate'``.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.

    Raises:
        UsageError: If the layers normalize queries.
    """

    parts = ('q',)

    def __init__(self, sizes: BackboneSizes) -> None:
        super().__init__(sizes)
        if sizes.normalizes_queries:
            raise UsageError(
                'AttentionTemperature scales queries, but this model '
                'normalizes them afterwards; choose a model without q/k norms'
            )
        self.temperature = nn.Parameter(torch.ones(sizes.num_layers))

    def project(self, layer: int, part: str, x: Tensor, y: Tensor) -> Tensor:
        """Divide the queries: see :meth:`.Tuner.project`."""
        t = self.temperature[layer]
        return y / (t + (t.clamp(*LIMITS) - t).detach())

    def fold(self, weights: FrozenWeights) -> None:
        """Divide weight and bias of the queries, exactly."""
        for layer, t in enumerate(self.temperature.clamp(*LIMITS)):
            weights.scale(layer, 'q', 1 / t)
