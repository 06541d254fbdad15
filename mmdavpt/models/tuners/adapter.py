"""Bottleneck adapters after frozen modules (Houlsby et al., ICML 2019)."""

import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmdavpt.errors import check_choice
from mmdavpt.registry import TUNERS

from .tuner import BackboneSizes, Tuner


class Bottleneck(nn.Module):
    r"""Compute :math:`s \odot W_{up}\,\mathrm{GELU}(W_{down} x)`.

    Both weights are drawn from a normal distribution of standard deviation
    0.01, cut at two of them, as in Houlsby et al. (section 3.6); biases are
    initially zero. So the output is small at the start, and both weights get
    gradients.

    Args:
        channels (int): The number of channels ``C``.
        rank (int): Channels between.
        bias (bool): Whether both products have a bias.
        scale (bool): Whether there is a scale :math:`s`, initially 1, for
            each channel.
        drop_path_rate (float): Probability of dropping the output for an
            image, in training.
    """

    def __init__(
        self,
        channels: int,
        rank: int,
        bias: bool,
        scale: bool = False,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.down = nn.Linear(channels, rank, bias=bias)
        self.up = nn.Linear(rank, channels, bias=bias)
        for linear in (self.down, self.up):
            nn.init.trunc_normal_(linear.weight, std=0.01, a=-0.02, b=0.02)
            if bias:
                nn.init.zeros_(linear.bias)
        weight = self.up.weight  # for its type and device
        self.scale = nn.Parameter(weight.new_ones(channels)) if scale else None
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to features of shape (B, T, C)."""
        out = self.up(F.gelu(self.down(x)))
        out = out if self.scale is None else self.scale * out
        return self.drop_path(out)


#: Form to the points where it acts, and the arguments of :class:`Bottleneck`.
FORMS = {
    'houlsby': (('attention', 'mlp'), dict(bias=False)),
    'pfeiffer': (('mlp',), dict(bias=True)),
    'plus': (('block',), dict(bias=True, scale=True, drop_path_rate=0.1)),
}


@TUNERS.register_module()
class Adapter(Tuner):
    r"""Add a bottleneck of a frozen module's output to that output.

    .. math::
        z \leftarrow z + s \odot W_{up}\,\mathrm{GELU}(W_{down} z + b) + c

    ========== ================================ ================== =========
    form       :math:`z`                        differs by         ViT-B, r 8
    ========== ================================ ================== =========
    'houlsby'  outputs of attention and MLP     no biases          294,912
    'pfeiffer' output of the MLP                                   156,768
    'plus'     output of the layer, with skip   scale, drop path   165,984
    ========== ================================ ================== =========

    Without the scale, :math:`s = 1`. 'plus' is Adapter+ (Steitz and Roth,
    CVPR 2024, section 3.4).

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        form (str): 'houlsby', 'pfeiffer' or 'plus'. Defaults to 'plus'.
        rank (int): Channels of the bottleneck. Defaults to 8.

    Raises:
        ValueError: If the form is unknown.
    """

    def __init__(
        self, sizes: BackboneSizes, form: str = 'plus', rank: int = 8
    ) -> None:
        super().__init__(sizes)
        check_choice('`form`', form, FORMS)
        points, options = FORMS[form]
        self.bottlenecks, dims = nn.ModuleDict(), sizes.embed_dims
        for point in points:
            self.bottlenecks[point] = sizes.per_layer(
                lambda: Bottleneck(dims, rank, **options)
            )

    def _add(self, point: str, layer: int, x: Tensor) -> Tensor:
        if point not in self.bottlenecks:
            return x
        return x + self.bottlenecks[point][layer](x)

    def attention(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Adapt the output of attention: see :meth:`.Tuner.attention`."""
        return self._add('attention', layer, out)

    def mlp(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Adapt the output of the MLP: see :meth:`.Tuner.mlp`."""
        return self._add('mlp', layer, out)

    def block(self, layer: int, x: Tensor) -> Tensor:
        """Adapt the output of the layer: see :meth:`.Tuner.block`."""
        return self._add('block', layer, x)
