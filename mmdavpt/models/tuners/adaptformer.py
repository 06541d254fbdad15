"""AdaptFormer: bottlenecks parallel to MLPs (Chen et al., NeurIPS 2022)."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmdavpt.registry import TUNERS

from .tuner import BackboneSizes, Tuner


@TUNERS.register_module()
class AdaptFormer(Tuner):
    r"""Add a bottleneck of the MLP's input to the MLP's output.

    .. math::
        x \leftarrow x + \mathrm{MLP}(x)
        + s\, W_{up}\, \mathrm{drop}(\mathrm{ReLU}(W_{down} x + b)) + s\, c

    As published (ShoufaChen/AdaptFormer, models/adapter.py): the input is
    taken before the norm, :math:`W_{down}` is drawn as a linear layer's
    weight, and :math:`W_{up}` and the biases are initially zero. ViT-B has
    1,189,632 parameters with the defaults.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        rank (int): Channels of the bottleneck. Defaults to 64.
        scale (float): The factor :math:`s`. Defaults to 0.1.
        drop_rate (float): Dropout of the bottleneck, in training. Defaults to
            0.1.
    """

    def __init__(
        self,
        sizes: BackboneSizes,
        rank: int = 64,
        scale: float = 0.1,
        drop_rate: float = 0.1,
    ) -> None:
        super().__init__(sizes)
        self.scale = scale
        self.drop = nn.Dropout(drop_rate)
        dims = sizes.embed_dims
        self.down = sizes.per_layer(lambda: nn.Linear(dims, rank))
        self.up = sizes.per_layer(lambda: nn.Linear(rank, dims))
        for down, up in zip(self.down, self.up, strict=True):
            for zero in (down.bias, up.weight, up.bias):
                nn.init.zeros_(zero)

    def mlp(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Add the bottleneck's output: see :meth:`.Tuner.mlp`."""
        hidden = self.drop(F.relu(self.down[layer](x)))
        return out + self.scale * self.up[layer](hidden)
