"""Attention in two steps, over the modules of an mmpretrain layer."""

from typing import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from .bias_delta import shifted_qkv_bias


def is_plain_linear(module: nn.Module) -> bool:
    """Return whether weight and bias say all that a linear layer does.

    They do not for a subclass, a wrapper, or a module with hooks or a forward
    of its own, such as those of low-rank adapters, of weight normalisation
    and of quantisation.

    Args:
        module (nn.Module): What stands in the place of a linear layer.
    """
    return (
        type(module) is nn.Linear
        and 'forward' not in module.__dict__
        and not module._forward_hooks
        and not module._forward_pre_hooks
    )


class FusedProjection:
    r"""Queries, keys and values of a layer, with its bias deltas.

    .. math::
        q = W_q x + b_q + \Delta_q, \quad
        k = W_k x + b_k + \Delta_k, \quad
        v = W_v x + b_v + \Delta_v

    Args:
        attn (nn.Module): An mmpretrain ``MultiheadAttention``.
        bias_delta (Mapping[str, Tensor]): See :func:`.shifted_qkv_bias`.
    """

    def __init__(
        self, attn: nn.Module, bias_delta: Mapping[str, Tensor]
    ) -> None:
        self.qkv = attn.qkv
        self.channels = attn.embed_dims
        self.plain = is_plain_linear(attn.qkv)
        self.bias = shifted_qkv_bias(
            attn.qkv.bias if self.plain else None, bias_delta
        )

    def __call__(self, x: Tensor, parts: str = 'qkv') -> Tensor:
        """Project tokens.

        Args:
            x (Tensor): After LN1, with shape (..., C).
            parts (str): What is needed: 'qkv', or neighbours out of it, such
                as 'q' or 'kv'. Only that is computed. Defaults to 'qkv'.

        Returns:
            Tensor: The parts side by side, with shape (..., parts * C).
        """
        first = 'qkv'.index(parts) * self.channels
        rows = slice(first, first + len(parts) * self.channels)
        bias = None if self.bias is None else self.bias[rows]
        if self.plain:
            return F.linear(x, self.qkv.weight[rows], bias)
        projected = self.qkv(x)[..., rows]
        return projected if bias is None else projected + bias


def attend(
    attn: nn.Module, queries: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    r"""Return the attention output, heads concatenated.

    .. math::
        \mathrm{softmax}(q k^T / \sqrt{d})\, v \text{ of each head}

    Args:
        attn (nn.Module): An mmpretrain ``MultiheadAttention``.
        queries (Tensor): With shape (B, Q, C).
        keys (Tensor): With shape (B, K, C).
        values (Tensor): With shape (B, K, C).

    Returns:
        Tensor: With shape (B, Q, C).
    """
    out = attn.scaled_dot_product_attention(
        _split_heads(queries, attn.num_heads),
        _split_heads(keys, attn.num_heads),
        _split_heads(values, attn.num_heads),
        dropout_p=attn.attn_drop if attn.training else 0.0,
    )
    # (B, heads, Q, C / heads) -> (B, Q, C)
    return out.transpose(-3, -2).flatten(-2)


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    # (B, N, C) -> (B, heads, N, C / heads)
    return x.unflatten(-1, (num_heads, -1)).transpose(-3, -2)
