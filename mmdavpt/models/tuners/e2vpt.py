"""E2VPT: key-value prompts and pruned prompts (Han et al., ICCV 2023)."""

import math

import torch
from torch import Tensor, nn

from mmdavpt.registry import TUNERS

from .selective import SelectiveTuner
from .tuner import BackboneSizes

#: Segments of a prompt, and how many of them are always kept, as published.
PIECES, KEPT_PIECES = 16, 4


@TUNERS.register_module()
class E2VPT(SelectiveTuner):
    r"""Add learnt rows to keys and values, and prune the backbone's prompts.

    .. math::
        \mathrm{softmax}(q\,[S; K]^T / \sqrt{d})\,[S; V]

    Every layer has its own :math:`S`, (T, C), which keys and values share
    (section 3.2). With ``num_prompts=5`` and ``num_tokens=5``, ViT-B has
    92,160 parameters.

    Pruning (section 3.3) multiplies each prompt by a mask :math:`\rho`, and
    each of its 16 segments by another. The importance of a mask is the sum
    over batches of :math:`|\partial L / \partial \rho|` (Michel et al.,
    NeurIPS 2019), which is :math:`|\sum p\, \partial L / \partial p|` over the
    prompt or segment at :math:`\rho = 1`. In each layer, the least important
    prompts become zero, and in each prompt the least important segments. Train
    once without ``selection``, make it from that checkpoint, and train again
    with the same seed, so that what is kept starts from its first values
    ("rewinding").

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        num_tokens (int): The number of rows ``T`` of a layer. Defaults to 5.
        prune_tokens (float): Fraction of a layer's prompts to prune; at least
            one is kept. Defaults to 0.
        prune_pieces (float): Fraction of a prompt's segments to prune; at
            least 4 are kept. Defaults to 0.
        selection (str, optional): See :class:`.SelectiveTuner`. Defaults to
            None, which prunes nothing.

    Raises:
        ValueError: If a number is out of range.
    """

    first = False

    def __init__(
        self,
        sizes: BackboneSizes,
        num_tokens: int = 5,
        prune_tokens: float = 0.0,
        prune_pieces: float = 0.0,
        selection: str | None = None,
    ) -> None:
        fractions = dict(prune_tokens=prune_tokens, prune_pieces=prune_pieces)
        fractions = {name: float(value) for name, value in fractions.items()}
        if num_tokens < 1 or not all(0 <= f < 1 for f in fractions.values()):
            raise ValueError(
                'E2VPT: `num_tokens` should be at least 1, and fractions from '
                f'0 to below 1, but got {num_tokens} and {fractions}'
            )
        super().__init__(sizes, selection, num_tokens=num_tokens, **fractions)
        channels = sizes.parts['k'][1]
        # Kaiming's bound for rows of a head, as released.
        bound = math.sqrt(6 * sizes.num_heads / (num_tokens * channels))
        shape = (sizes.num_layers, num_tokens, channels)
        self.tokens = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def prefix(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return the rows as keys and values: see :meth:`.Tuner.prefix`."""
        return self.tokens[layer], self.tokens[layer]

    def prompts(self, layer: int, x: Tensor) -> Tensor:
        """Set pruned values to zero: see :meth:`.Tuner.prompts`."""
        mask = self._buffers.get(f'mask{layer}')
        return x if mask is None else x * mask

    def watched(self, backbone: nn.Module) -> list[nn.Parameter]:
        """Return the prompts: see :meth:`.SelectiveTuner.watched`."""
        return [*backbone.prompts.values()]

    def score(self, value: Tensor, gradient: Tensor) -> Tensor:
        """Return the masks' absolute gradients, (P, 1 + 16).

        The first is that of the prompt, the others of its segments.
        """
        pieces = (value * gradient).unflatten(-1, (PIECES, -1)).sum(-1)
        return torch.cat((pieces.sum(-1, True), pieces), -1).abs()

    def select(self, backbone: nn.Module, scores: dict) -> dict[str, Tensor]:
        """Return the masks: see :meth:`.SelectiveTuner.select`."""
        fractions = [self.settings[f'prune_{n}'] for n in ('tokens', 'pieces')]
        masks = {}
        for layer, prompts in backbone.prompts.items():
            kept, size = _keep(scores[prompts], *fractions), prompts.shape[1]
            mask = kept.repeat_interleave(size // PIECES, dim=1)
            masks[f'mask{layer}'] = mask.cpu()
        return masks


def _keep(scores: Tensor, tokens: float, pieces: float) -> Tensor:
    """Return which segments to keep, bool, (P, 16), from scores (P, 17)."""
    # So that 0.29 of 100, 28.999..., is 29.
    count = int(len(scores) * tokens + 1e-6)
    dropped = min(int(PIECES * pieces + 1e-6), PIECES - KEPT_PIECES)
    keep = torch.ones_like(scores[:, 1:], dtype=torch.bool)
    order = scores[:, 1:].argsort(dim=1, stable=True)
    keep.scatter_(1, order[:, :dropped], False)
    keep[scores[:, 0].argsort(stable=True)[:count]] = False
    return keep
