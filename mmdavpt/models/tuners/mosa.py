"""MoSA: a mixture of sparse adapters (Zhang et al., arXiv 2312.02923)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdavpt.registry import TUNERS

from .adaptformer import AdaptFormer
from .tuner import BackboneSizes

#: The number ``E`` of sparse adapters of a layer.
NUM_EXPERTS = 4


@TUNERS.register_module()
class MoSA(AdaptFormer):
    r"""Split the adapter of each layer into sparse ones; train one at a time.

    .. math::
        x \leftarrow x + \mathrm{MLP}(x) + s\, (W h + c), \quad
        h = \mathrm{drop}(\mathrm{GELU}(W_{down}\, \mathrm{LN}(x) + b))

    In training, :math:`W = M_i \odot W_{up}`, with one expert :math:`i` drawn
    for each layer and each forward pass. The masks :math:`M_1, \dots, M_E`
    are random, disjoint, equally large, and cover :math:`W_{up}`; here
    :math:`E = 4`. In evaluation the experts are merged: :math:`W = W_{up} /
    E`, the mean of what is drawn. A second pass of each training step, with
    other experts, is held to the first: see
    :attr:`.Tuner.consistency_weight`.

    Defaults, initial values and merge follow the released code
    (Theia-4869/MoSA, ``STYLE=AdaptFormer``, ``SHARE=down``); there each
    expert also has a bias :math:`c` of its own. ViT-B has 1,208,064
    parameters with the defaults.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        consistency_weight (float): 0 trains with one pass, at half the cost.
            Defaults to 1.
        **kwargs: Of :class:`.AdaptFormer`: ``rank``, ``scale`` and
            ``drop_rate``.

    Attributes:
        experts (Tensor): The expert of each entry of :math:`W_{up}`, uint8,
            (L, C, rank).
    """

    def __init__(
        self, sizes: BackboneSizes, consistency_weight: float = 1.0, **kwargs
    ) -> None:
        super().__init__(sizes, **kwargs)
        self.consistency_weight = consistency_weight
        dims = sizes.embed_dims
        self.norms = sizes.per_layer(lambda: nn.LayerNorm(dims, eps=1e-6))
        shape = (len(self.up), *self.up[0].weight.shape)
        order = torch.rand(shape).flatten(1).argsort(1).view(shape)
        self.register_buffer('experts', (order % NUM_EXPERTS).to(torch.uint8))

    def mlp(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Add the adapter's output: see :meth:`.Tuner.mlp`."""
        hidden = F.gelu(self.down[layer](self.norms[layer](x)))
        up = self.up[layer]
        if self.training:
            # Drawn on the device, so that the CPU does not wait for it.
            drawn = torch.randint(NUM_EXPERTS, (), device=up.weight.device)
            weight = up.weight * (self.experts[layer] == drawn)
        else:
            weight = up.weight / NUM_EXPERTS
        return out + self.scale * F.linear(self.drop(hidden), weight, up.bias)
