"""Low-rank adaptation of projections (Hu et al., ICLR 2022)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from mmdavpt.registry import TUNERS

from .bias import checked_parts
from .tuner import BackboneSizes, Tuner

if TYPE_CHECKING:
    from mmdavpt.models.export import FrozenWeights


@TUNERS.register_module()
class LoRA(Tuner):
    r"""Add a low-rank product to the weights of projections.

    .. math::
        y = W x + b + \frac{\alpha}{r} B A x

    Every target of every layer has its own :math:`A`, drawn as a linear
    layer's weight, and :math:`B`, initially zero. ViT-B has 294,912
    parameters with the defaults.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        rank (int): The rank :math:`r`. Defaults to 8.
        alpha (float, optional): The scale :math:`\alpha`. Defaults to None,
            which is the rank: a factor of 1.
        targets (Sequence[str]): Projections out of ``PARTS``, each at most
            once. Defaults to ('q', 'v').

    Raises:
        ValueError: If a target is unknown or given twice, or the rank is
            below 1.
    """

    def __init__(
        self,
        sizes: BackboneSizes,
        rank: int = 8,
        alpha: float | None = None,
        targets: Sequence[str] = ('q', 'v'),
    ) -> None:
        super().__init__(sizes)
        if rank < 1:
            raise ValueError(f'`rank` should be at least 1, but got {rank}')
        self.parts = checked_parts('`targets`', targets)
        self.scale = 1.0 if alpha is None else alpha / rank
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        for part in self.parts:
            inputs, outputs = sizes.parts[part]
            self.down[part] = nn.ModuleList(
                nn.Linear(inputs, rank, bias=False)
                for _ in range(sizes.num_layers)
            )
            self.up[part] = nn.ModuleList(
                nn.Linear(rank, outputs, bias=False)
                for _ in range(sizes.num_layers)
            )
            for up in self.up[part]:
                nn.init.zeros_(up.weight)

    def project(self, layer: int, part: str, x: Tensor, y: Tensor) -> Tensor:
        """Add the low-rank product: see :meth:`.Tuner.project`."""
        down, up = self.down[part][layer], self.up[part][layer]
        return y + self.scale * up(down(x))

    def fold(self, weights: 'FrozenWeights') -> None:
        """Add the products to the frozen weights."""
        for part in self.parts:
            pairs = zip(self.up[part], self.down[part], strict=True)
            for layer, (up, down) in enumerate(pairs):
                product = self.scale * (up.weight @ down.weight)
                weights.weight(layer, part).add_(product)
