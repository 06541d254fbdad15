"""PSRP: recalibrate MLPs by scale and shift (Gao et al., ICCV 2023)."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmdavpt.registry import TUNERS

from .tuner import BackboneSizes, Tuner


@TUNERS.register_module()
class PSRP(Tuner):
    r"""Scale and shift the MLP's output, both computed from its input.

    .. math::
        h = \mathrm{ReLU}(W_{down} x), \quad
        x \leftarrow x + (1 + W_{scale} h) \odot \mathrm{MLP}(x) + W_{shift} h

    The two share :math:`W_{down}`: the partially shared module for
    recalibrating parameters, which with :class:`.MomentProbingHead` is MP+.
    As in the released code (mingzeG/Moment-Probing, models/representation/
    PSRP.py and vision_transformer.py), :math:`x` is taken before the norm,
    there are no biases, and all weights are drawn from a normal distribution
    of standard deviation 0.02, so the untrained tuner changes the outputs
    slightly. ViT-B has 442,368 parameters. Layer scale comes before, and does
    not affect the shift; the paper's ViT has none.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        rank (int): Channels of the bottleneck. Defaults to 16.
    """

    def __init__(self, sizes: BackboneSizes, rank: int = 16) -> None:
        super().__init__(sizes)
        dims = sizes.embed_dims
        up = rank, dims
        shapes = dict(down=(dims, rank), scale=up, shift=up)

        def linears() -> nn.ModuleDict:
            made = {k: nn.Linear(*v, bias=False) for k, v in shapes.items()}
            return nn.ModuleDict(made)

        self.layers = sizes.per_layer(linears)
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.02)

    def mlp(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Scale and shift the output of the MLP: see :meth:`.Tuner.mlp`."""
        linear = self.layers[layer]
        hidden = F.relu(linear['down'](x))
        return (1 + linear['scale'](hidden)) * out + linear['shift'](hidden)
