"""Weights of a backbone, for tuners that fold into them."""

from torch import Tensor, nn

from mmdavpt.errors import UsageError


class FrozenWeights:
    """Weights of a backbone that tuners are folded into, in place.

    Args:
        backbone (nn.Module): A ``PromptedBackbone``.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone

    def weight(self, layer: int, part: str) -> Tensor:
        """Return the weight of a projection, (out, in).

        Args:
            layer (int): Index of the layer.
            part (str): One of :data:`~mmdavpt.models.tuners.PARTS`.
        """
        module, rows = self._backbone.linear(layer, part)
        return module.weight[rows]

    def bias(self, layer: int, part: str) -> Tensor:
        """Return the bias of a projection, (out, ).

        Raises:
            UsageError: If the projection has none.
        """
        bias = self._backbone.view(layer).bias(part)
        if bias is None:
            raise UsageError(
                f'the projection {part!r} of the backbone has no bias that a '
                'tuner could be folded into (`qkv_bias=False`)'
            )
        return bias

    def scale(self, layer: int, part: str, factor: Tensor) -> None:
        """Multiply a projection, and its bias if it has one.

        Args:
            layer (int): Index of the layer.
            part (str): See :meth:`weight`.
            factor (Tensor): A scalar.
        """
        self.weight(layer, part).mul_(factor)
        bias = self._backbone.view(layer).bias(part)
        if bias is not None:
            bias.mul_(factor)

    def norm(self, layer: int, which: str) -> nn.Module:
        """Return a normalization: see :meth:`.Tuner.norm`."""
        if which == 'final':
            return self._backbone.output_norm
        return self._backbone.view(layer).norm(which)

    def embedding(self) -> nn.Module:
        """Return the patch projection: see :meth:`.Tuner.embed`."""
        return self._backbone.patch_projection
