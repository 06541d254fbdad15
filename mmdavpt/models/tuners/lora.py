"""Low-rank adaptation of projections (Hu et al., ICLR 2022)."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmdavpt.registry import TUNERS

from .bias import checked_parts
from .tuner import BackboneSizes, FrozenWeights, Tuner


@TUNERS.register_module()
class LoRA(Tuner):
    r"""Add a low-rank product to the weights of projections.

    .. math::
        y = W x + b + \frac{\alpha}{r} B A x

    Every target of every layer has its own :math:`A`, drawn as a linear
    layer's weight, and :math:`B`, initially zero. With ``share_a`` the
    targets of a layer share :math:`A`: ``targets=('q', 'k', 'v')`` is then
    LoRA on a fused qkv projection, as in peft on timm's models. ViT-B has
    294,912 parameters with either.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        rank (int): The rank :math:`r`. Defaults to 8.
        alpha (float, optional): The scale :math:`\alpha`. Defaults to None,
            which is the rank: a factor of 1.
        targets (Sequence[str]): Projections out of ``PARTS``, each at most
            once. Defaults to ('q', 'v').
        share_a (bool): Whether the targets share :math:`A`. Defaults to
            False.

    Raises:
        ValueError: If a target is unknown or given twice, or if the targets
            cannot share :math:`A`.
    """

    def __init__(
        self,
        sizes: BackboneSizes,
        rank: int = 8,
        alpha: float | None = None,
        targets: Sequence[str] = ('q', 'v'),
        share_a: bool = False,
    ) -> None:
        super().__init__(sizes)
        self.parts = checked_parts('`targets`', targets)
        self.scale = 1.0 if alpha is None else alpha / rank
        if share_a and (len(self.parts) < 2 or not {*self.parts} <= {*'qkv'}):
            raise ValueError(
                "`share_a` needs two or more of 'q', 'k' and 'v', which have "
                f'the same input, as `targets`, but got {self.parts}'
            )
        shared = ''.join(self.parts)
        self._a_of = {part: shared if share_a else part for part in self.parts}

        def linears(*shape: int) -> nn.ModuleList:
            return sizes.per_layer(lambda: nn.Linear(*shape, bias=False))

        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        for part, a in self._a_of.items():
            inputs, outputs = sizes.parts[part]
            if a not in self.down:
                self.down[a] = linears(inputs, rank)
            self.up[part] = linears(rank, outputs)
            for up in self.up[part]:
                nn.init.zeros_(up.weight)

    def project(self, layer: int, part: str, x: Tensor, y: Tensor) -> Tensor:
        """Add the low-rank product: see :meth:`.Tuner.project`."""
        down, up = self.down[self._a_of[part]][layer], self.up[part][layer]
        return y + self.scale * up(down(x))

    def fold(self, weights: FrozenWeights) -> None:
        """Add the products to the frozen weights."""
        for part in self.parts:
            down = self.down[self._a_of[part]]
            for layer, up in enumerate(self.up[part]):
                product = self.scale * (up.weight @ down[layer].weight)
                weights.weight(layer, part).add_(product)
