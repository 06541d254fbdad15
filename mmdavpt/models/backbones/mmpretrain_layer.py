"""View of MMPretrain's ``TransformerEncoderLayer``."""

import torch.nn.functional as F
from mmpretrain.models.utils import SwiGLUFFN
from torch import Tensor, nn

from .layer_view import Change, LayerView, is_plain_linear, split_heads


class MMPretrainLayer(LayerView):
    """View of a ``TransformerEncoderLayer``, with either kind of FFN.

    .. math::
        q = W_q x + b_q + \\Delta_q, \\quad
        k = W_k x + b_k + \\Delta_k, \\quad
        v = W_v x + b_v + \\Delta_v

    Args:
        layer (nn.Module): The layer.
        *args: See :class:`.LayerView`; the layer has no ``rope``.
        **kwargs: See there.
    """

    def __init__(self, layer: nn.Module, *args, **kwargs) -> None:
        super().__init__(layer, *args, **kwargs)
        qkv = layer.attn.qkv
        self.projects_in_parts = is_plain_linear(qkv)
        self._bias = self.shifted(qkv.bias if self.projects_in_parts else None)

    def norm(self, which: str) -> nn.Module:
        """Return ``ln1`` or ``ln2``: see :class:`.LayerView`."""
        return self.layer.ln1 if which == 'norm1' else self.layer.ln2

    def linear(self, part: str) -> tuple[nn.Module, slice]:
        """Return the module and rows of a part: see :class:`.LayerView`."""
        attn, ffn = self.layer.attn, self.layer.ffn
        if part in ('q', 'k', 'v'):
            first = 'qkv'.index(part) * attn.embed_dims
            return attn.qkv, slice(first, first + attn.embed_dims)
        if part == 'proj':
            return attn.proj, slice(None)
        if isinstance(ffn, SwiGLUFFN):
            return ffn.w12 if part == 'fc1' else ffn.w3, slice(None)
        first, *_, last, _ = ffn.layers
        return first[0] if part == 'fc1' else last, slice(None)

    def project(self, x: Tensor, parts: str = 'qkv') -> Tensor:
        """Project normalized tokens: see :class:`.LayerView`."""
        return self.run_fused(x, parts, self._bias)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return the attention output: see :class:`.LayerView`."""
        attn = self.layer.attn
        heads = split_heads(attn.num_heads, queries, keys, values)
        dropout = attn.attn_drop if attn.training else 0.0
        out = attn.scaled_dot_product_attention(*heads, dropout_p=dropout)
        # (B, heads, Q, C / heads) -> (B, Q, C)
        return out.transpose(-3, -2).flatten(-2)

    def attention_output(self, attended: Tensor, change: Change) -> Tensor:
        """Return the residual of attention: see :class:`.LayerView`."""
        attn = self.layer.attn
        out = attn.proj_drop(self.run_linear('proj', attended, change))
        return attn.out_drop(attn.gamma1(out))

    def add_mlp(self, x: Tensor) -> Tensor:
        """Run the FFN with its identity: see :class:`.LayerView`."""
        return self.layer.ffn(self.layer.ln2(x), identity=x)

    def mlp(self, x: Tensor, change: Change) -> Tensor:
        """Run the FFN step by step: see :class:`.LayerView`."""
        ffn = self.layer.ffn
        hidden = self.run_linear('fc1', x, change)
        if isinstance(ffn, SwiGLUFFN):
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = ffn.norm(F.silu(gate) * hidden)
            out = self.run_linear('fc2', hidden, change)
        else:
            first, *middle, _, drop = ffn.layers
            for module in (*list(first)[1:], *middle):
                hidden = module(hidden)
            out = drop(self.run_linear('fc2', hidden, change))
        return ffn.dropout_layer(ffn.gamma2(out))
