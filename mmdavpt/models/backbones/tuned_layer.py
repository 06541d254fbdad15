"""One frozen layer with its tuners."""

import torch
from torch import Tensor, nn

from mmdavpt.models.tuners import LayerTuners

from .layer_kinds import view_of

UNTUNED = LayerTuners()


class TunedLayer:
    """The steps of a frozen layer, each followed by the tuners that act there.

    Created for each pass; it holds no state.

    Args:
        layer (nn.Module): A layer of the backbone.
        tuners (LayerTuners): What acts in it. Defaults to nothing.
        rope (Tensor, optional): See :class:`.LayerView`. Defaults to None.
    """

    def __init__(
        self,
        layer: nn.Module,
        tuners: LayerTuners = UNTUNED,
        rope: Tensor | None = None,
    ) -> None:
        self.tuners = tuners
        self.view = view_of(layer, tuners.shifts(), rope)

    def norm1(self, x: Tensor) -> Tensor:
        """Return the input of attention, with shape (..., C)."""
        return self.tuners.apply('norm', 'norm1', self.view.norm('norm1')(x))

    def project(
        self, x: Tensor, parts: str = 'qkv', first_patch: int | None = None
    ) -> Tensor:
        """Project normalized tokens: see :meth:`.LayerView.project`.

        Args:
            x (Tensor): With shape (..., T, C).
            parts (str): Parts to compute. Defaults to 'qkv'.
            first_patch (int, optional): Index of the first patch among the
                tokens. Defaults to None: there are no patches.
        """
        projected = self.view.project(x, parts)
        if not (self.view.positions or self.tuners.changes('project', parts)):
            return projected
        outs, chunks = [], projected.chunk(len(parts), dim=-1)
        for part, y in zip(parts, chunks, strict=True):
            y = self.tuners.project(part, x, y)
            if self.view.positions and part != 'v':
                y = self.view.position(part, y, first_patch)
            outs.append(y)
        # Joining copies, so only if there is something to join.
        return outs[0] if len(outs) == 1 else torch.cat(outs, dim=-1)

    def add_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """Return the MLP's input: the layer's input plus attention's output.

        Args:
            x (Tensor): Input of the layer, with shape (B, T, C).
            attended (Tensor): See :meth:`.LayerView.attend`, (B, T, C).
        """
        out = self.view.attention_output(attended, self.tuners.project)
        return x + self.tuners.apply('attention', x, out)

    def add_mlp(self, x: Tensor) -> Tensor:
        """Return the layer's output: the input of the MLP plus its output.

        Args:
            x (Tensor): With shape (B, T, C).
        """
        if self._mlp_is_tuned():
            normed = self.view.norm('norm2')(x)
            normed = self.tuners.apply('norm', 'norm2', normed)
            out = self.view.mlp(normed, self.tuners.project)
            x = x + self.tuners.apply('mlp', x, out)
        else:
            # The module's own call keeps its hooks.
            x = self.view.add_mlp(x)
        return self.tuners.apply('block', x)

    def _mlp_is_tuned(self) -> bool:
        changes, parts = self.tuners.changes, ('fc1', 'fc2')
        inside = changes('project', parts) or changes('bias', parts)
        return changes('norm') or changes('mlp') or inside
