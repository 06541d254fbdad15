"""SNF: normalizing flows in shortcuts (Wang et al., NeurIPS 2023)."""

import torch
from torch import Tensor, nn

from mmdavpt.registry import TUNERS

from .tuner import BackboneSizes, Tuner


class Flow(nn.Module):
    r"""An affine flow, then planar flows.

    .. math::
        z_0 = \mu + e^{s} \odot x, \quad
        z_i = z_{i-1} + u_i \tanh(w_i^T z_{i-1} + b_i)

    All parameters are drawn from :math:`U(-0.01, 0.01)`.

    Args:
        channels (int): The number of channels ``C``.
        num_flows (int): The number of planar flows, ``F``.
    """

    def __init__(self, channels: int, num_flows: int) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.empty(channels))
        self.log_sigma = nn.Parameter(torch.empty(channels))
        self.u = nn.Parameter(torch.empty(num_flows, channels))
        self.w = nn.Parameter(torch.empty(num_flows, channels))
        self.b = nn.Parameter(torch.empty(num_flows))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.01, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Transform features of shape (..., C)."""
        z = self.mu + self.log_sigma.exp() * x
        for u, w, b in zip(self.u, self.w, self.b, strict=True):
            z = z + u * torch.tanh(z @ w + b).unsqueeze(-1)
        return z


@TUNERS.register_module()
class SNF(Tuner):
    r"""Replace both shortcuts of a layer by normalizing flows.

    .. math::
        x \leftarrow \mathrm{Flow}(x) + \mathrm{attention}(x), \quad
        x \leftarrow \mathrm{Flow}(x) + \mathrm{MLP}(x)

    See :class:`Flow` for its formula. ViT-B has 110,640 parameters with 2
    flows, 627,072 with 16.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        num_flows (int): Planar flows of a shortcut. Defaults to 2.

    Raises:
        ValueError: If the number of flows is below 0.
    """

    def __init__(self, sizes: BackboneSizes, num_flows: int = 2) -> None:
        super().__init__(sizes)
        if num_flows < 0:
            wrong = f'but got {num_flows}'
            raise ValueError(f'`num_flows` should be 0 or more, {wrong}')
        dims = sizes.embed_dims
        self.of_attention = sizes.per_layer(lambda: Flow(dims, num_flows))
        self.of_mlp = sizes.per_layer(lambda: Flow(dims, num_flows))

    def attention(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Replace the shortcut: see :meth:`.Tuner.attention`."""
        return out + (self.of_attention[layer](x) - x)

    def mlp(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Replace the shortcut: see :meth:`.Tuner.mlp`."""
        return out + (self.of_mlp[layer](x) - x)
