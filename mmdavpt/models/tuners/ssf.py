"""SSF: scale and shift features (Lian et al., NeurIPS 2022)."""

import torch
from torch import Tensor, nn

from mmdavpt.errors import UsageError
from mmdavpt.registry import TUNERS

from .tuner import PARTS, BackboneSizes, FrozenWeights, Tuner


class ScaleShift(nn.Module):
    """A scale and a shift for each channel.

    Args:
        channels (int): The number of channels ``C``.
        std (float): Standard deviation of the initial values around 1 and 0.
    """

    def __init__(self, channels: int, std: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(1 + std * torch.randn(channels))
        self.shift = nn.Parameter(std * torch.randn(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift features of shape (..., C)."""
        return torch.addcmul(self.shift, x, self.scale)

    def fold(self, weight: Tensor, bias: Tensor | None) -> None:
        """Change the weight and bias that compute the features, in place.

        Raises:
            UsageError: If there is no bias.
        """
        if bias is None:
            raise UsageError(
                'SSF cannot be folded: an operation of the backbone has no '
                'bias that its shift could be folded into'
            )
        weight.mul_(self.scale.view(-1, *[1] * (weight.dim() - 1)))
        bias.mul_(self.scale).add_(self.shift)


@TUNERS.register_module()
class SSF(Tuner):
    r"""Scale and shift the output of every frozen operation.

    .. math::
        y \leftarrow \gamma \odot y + \beta

    As published (dongzelian/SSF): after the patch embedding, both norms, all
    projections and the final norm, each with its own :math:`\gamma \sim N(1,
    \sigma)` and :math:`\beta \sim N(0, \sigma)`. ViT-B has 205,824
    parameters.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        std (float): The standard deviation :math:`\sigma` of the initial
            values; 0 leaves the backbone as it is. Defaults to 0.02.
    """

    def __init__(self, sizes: BackboneSizes, std: float = 0.02) -> None:
        super().__init__(sizes)
        dims = sizes.embed_dims
        outputs = dict(norm1=dims, norm2=dims)
        outputs |= {part: sizes.parts[part][1] for part in PARTS}

        def operations() -> nn.ModuleDict:
            made = {k: ScaleShift(n, std) for k, n in outputs.items()}
            return nn.ModuleDict(made)

        self.layers = sizes.per_layer(operations)
        self.embedding = ScaleShift(dims, std)
        self.final = ScaleShift(dims, std) if sizes.final_norm else None

    def embed(self, x: Tensor) -> Tensor:
        """Change the embedded patches: see :meth:`.Tuner.embed`."""
        return self.embedding(x)

    def norm(self, layer: int, which: str, x: Tensor) -> Tensor:
        """Change the output of a norm: see :meth:`.Tuner.norm`."""
        return self._after_norm(layer, which)(x)

    def project(self, layer: int, part: str, x: Tensor, y: Tensor) -> Tensor:
        """Change the output of a projection: see :meth:`.Tuner.project`."""
        return self.layers[layer][part](y)

    def _after_norm(self, layer: int, which: str) -> ScaleShift:
        return self.final if which == 'final' else self.layers[layer][which]

    def fold(self, weights: FrozenWeights) -> None:
        """Multiply and shift the frozen weights, exactly."""
        embedding = weights.embedding()
        self.embedding.fold(embedding.weight, embedding.bias)
        for i in range(len(self.layers)):
            for which in ('norm1', 'norm2'):
                norm = weights.norm(i, which)
                self._after_norm(i, which).fold(norm.weight, norm.bias)
            for part in PARTS:
                frozen = weights.weight(i, part), weights.bias(i, part)
                self.layers[i][part].fold(*frozen)
        if self.final is not None:
            norm = weights.norm(len(self.layers) - 1, 'final')
            self.final.fold(norm.weight, norm.bias)
