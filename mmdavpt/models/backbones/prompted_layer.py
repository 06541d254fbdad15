"""One transformer layer that sees prompts as a key/value prefix.

VPT-Deep (eq. 1) throws away what a layer makes at the prompts' places, so
prompts act through their keys and values alone. The functions here compute
just that, over the parent layer's own modules: the projection of the prompts
runs once per batch, and queries, output projection and FFN run for [CLS] and
the patches only. The result equals the concatenated form to rounding.
"""

from dataclasses import dataclass
from typing import Dict, FrozenSet, Mapping, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bias_delta import shifted_qkv_bias

#: What a guided layer can hand out, all before the output projection.
TOKEN_NAMES = frozenset(
    [
        'prompt_raw',
        'prompt_input',
        'prompt_query',
        'cls_input',
        'cls_query',
        'patch_raw',
        'patch_input',
        'patch_query',
        'patch_key',
        'patch_output',
        'saliency',
    ]
)

#: What the prompts' queries attend to when the saliency is computed.
SALIENCY_KEYS = ('patches', 'all')


@dataclass(frozen=True)
class TokenRequest:
    """What guided layers are asked to hand out.

    Attributes:
        layers (Tuple[int, ...]): Indices of the guided layers.
        names (FrozenSet[str]): Out of ``TOKEN_NAMES``:

            - ``prompt_raw``, ``prompt_input``, ``prompt_query``: the prompts,
              LN1 of them, and its query projection, with shape (P, C).
            - ``cls_input``, ``cls_query``: the same of [CLS], (B, C).
            - ``patch_raw``, ``patch_input``, ``patch_query``, ``patch_key``:
              the same of the patches and their keys, (B, N, C).
            - ``patch_output``: attention output of the patches, heads
              concatenated, (B, N, C).
            - ``saliency``: attention output of the query of each sample's
              target prompt, heads concatenated, (B, C).
        targets (Tensor, optional): The prompt of each sample, int64, (B, );
            -1 for none. Needed for ``saliency``.
        saliency_keys (str): ``'patches'``: the prompts' queries see patch
            keys only, as the released code's ``mask: true``; ``'all'``: they
            see prompts, [CLS] and patches. Defaults to 'patches'.
    """

    layers: Tuple[int, ...]
    names: FrozenSet[str]
    targets: Optional[Tensor] = None
    saliency_keys: str = 'patches'


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    # (B, N, C) -> (B, heads, N, C / heads)
    return x.unflatten(-1, (num_heads, -1)).transpose(-3, -2)


def _merge_heads(x: Tensor) -> Tensor:
    # (B, heads, N, C / heads) -> (B, N, C)
    return x.transpose(-3, -2).flatten(-2)


def _batched(x: Tensor, batch_size: int) -> Tensor:
    # (P, C) -> (B, P, C) without a copy
    return x if x.dim() == 3 else x.expand(batch_size, -1, -1)


def project_prompts(
    layer: nn.Module, prompts: Tensor, bias_delta: Mapping[str, Tensor]
) -> Tensor:
    """Return the keys and values of a layer's prompts, side by side.

    Args:
        layer (nn.Module): An mmpretrain ``TransformerEncoderLayer``.
        prompts (Tensor): With shape (P, C) or (B, P, C).
        bias_delta (Mapping[str, Tensor]): See :func:`shifted_qkv_bias`.

    Returns:
        Tensor: With shape (P, 2C) or (B, P, 2C).
    """
    channels = layer.attn.embed_dims
    bias = shifted_qkv_bias(layer.attn.qkv, bias_delta)
    return F.linear(
        layer.ln1(prompts),
        layer.attn.qkv.weight[channels:],
        None if bias is None else bias[channels:],
    )


def prompted_layer(
    layer: nn.Module,
    x: Tensor,
    prompts: Optional[Tensor],
    bias_delta: Mapping[str, Tensor],
    patch_start: int = 1,
    cls_only: bool = False,
    request: Optional[TokenRequest] = None,
    raw_prompts: Optional[Tensor] = None,
    projected: Optional[Tensor] = None,
) -> Tuple[Tensor, Dict[str, Tensor]]:
    """Run one layer with its prompts as a key/value prefix.

    Args:
        layer (nn.Module): An mmpretrain ``TransformerEncoderLayer``.
        x (Tensor): [CLS] and patches, with shape (B, 1+N, C).
        prompts (Tensor, optional): What the layer sees, with shape (P, C), or
            (B, P, C) under prompt dropout. None if the layer has none.
        bias_delta (Mapping[str, Tensor]): See :func:`shifted_qkv_bias`.
        patch_start (int): The place of the first patch in ``x``: 1 with
            [CLS], else 0; more if prompts stand between. Defaults to 1.
        cls_only (bool): Whether only [CLS] goes on, so that the queries,
            output projection and FFN of the patches are left out.
            Defaults to False.
        request (TokenRequest, optional): What to hand out.
        raw_prompts (Tensor, optional): The prompts before dropout, (P, C),
            which guidance acts on. Needed with a ``request``.
        projected (Tensor, optional): What :func:`project_prompts` made of
            ``prompts``, if that is known. Defaults to None.

    Returns:
        Tuple[Tensor, Dict[str, Tensor]]: The layer's output, with shape
        (B, 1+N, C) or (B, 1, C) with ``cls_only``; and the tokens by name.
    """
    # A call of its own, so that keys and values are gone before the FFN,
    # which is where inference needs most memory.
    x, tokens = _prompted_attention(
        layer,
        x,
        prompts,
        bias_delta,
        patch_start,
        cls_only,
        request,
        raw_prompts,
        projected,
    )
    return layer.ffn(layer.ln2(x), identity=x), tokens


def _prompted_attention(
    layer: nn.Module,
    x: Tensor,
    prompts: Optional[Tensor],
    bias_delta: Mapping[str, Tensor],
    patch_start: int,
    cls_only: bool,
    request: Optional[TokenRequest],
    raw_prompts: Optional[Tensor],
    projected: Optional[Tensor],
) -> Tuple[Tensor, Dict[str, Tensor]]:
    """Return what the layer's FFN sees, and the tokens by name."""
    attn = layer.attn
    bias = shifted_qkv_bias(attn.qkv, bias_delta)
    names = frozenset() if request is None else request.names
    if prompts is not None and projected is None:
        projected = project_prompts(layer, prompts, bias_delta)

    normed = layer.ln1(x)
    rows = x.shape[1]
    if cls_only and not names & {'patch_query', 'patch_output'}:
        rows = 1
    query, keys, values = _project(attn, normed, bias, rows, projected)
    attended = _attend(attn, query, keys, values)

    tokens: Dict[str, Tensor] = {}
    if names:
        own = keys.shape[1] - x.shape[1] + patch_start
        available = dict(
            cls_input=lambda: normed[:, 0],
            cls_query=lambda: query[:, 0],
            patch_raw=lambda: x[:, patch_start:],
            patch_input=lambda: normed[:, patch_start:],
            patch_query=lambda: query[:, patch_start:],
            patch_key=lambda: keys[:, own:],
            patch_output=lambda: attended[:, patch_start:],
        )
        tokens = {
            name: take() for name, take in available.items() if name in names
        }
        tokens.update(_prompt_tokens(layer, raw_prompts, bias, names))
        if 'saliency' in names:
            chosen = tokens['prompt_query'][request.targets.clamp(min=0)]
            seen = 0 if request.saliency_keys == 'all' else own
            tokens['saliency'] = _attend(
                attn, chosen.unsqueeze(1), keys[:, seen:], values[:, seen:]
            ).squeeze(1)
        tokens = {name: tokens[name] for name in names}

    if cls_only:
        x, attended = x[:, :1], attended[:, :1]
    out = attn.proj_drop(attn.proj(attended))
    x = x + attn.out_drop(attn.gamma1(out))
    return x, tokens


def _project(
    attn: nn.Module,
    normed: Tensor,
    bias: Optional[Tensor],
    rows: int,
    projected: Optional[Tensor],
) -> Tuple[Tensor, Tensor, Tensor]:
    """Return the queries of the first rows, and all keys and values.

    Args:
        attn (nn.Module): An mmpretrain ``MultiheadAttention``.
        normed (Tensor): What it sees, with shape (B, 1+N, C).
        bias (Tensor, optional): Of its fused projection, (3C, ).
        rows (int): The number of rows that have queries.
        projected (Tensor, optional): The prompts' keys and values, with shape
            (P, 2C) or (B, P, 2C), which come before the others.
    """
    channels, weight = attn.embed_dims, attn.qkv.weight
    if projected is None and rows == normed.shape[1]:
        return F.linear(normed, weight, bias).chunk(3, dim=-1)
    # Queries apart, since backward keeps them: as a view of one fused result
    # they would keep keys and values as well, next to their copies below.
    query = F.linear(
        normed[:, :rows],
        weight[:channels],
        None if bias is None else bias[:channels],
    )
    both = F.linear(
        normed, weight[channels:], None if bias is None else bias[channels:]
    )
    if projected is not None:
        both = torch.cat((_batched(projected, len(normed)), both), dim=1)
    return (query, *both.chunk(2, dim=-1))


def _attend(
    attn: nn.Module, queries: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    """Return the attention output, heads concatenated."""
    out = attn.scaled_dot_product_attention(
        _split_heads(queries, attn.num_heads),
        _split_heads(keys, attn.num_heads),
        _split_heads(values, attn.num_heads),
        dropout_p=attn.attn_drop if attn.training else 0.0,
    )
    return _merge_heads(out)


def _prompt_tokens(
    layer: nn.Module,
    prompts: Tensor,
    bias: Optional[Tensor],
    names: FrozenSet[str],
) -> Dict[str, Tensor]:
    """Return the prompts' own tokens, each with shape (P, C)."""
    tokens = {'prompt_raw': prompts}
    if names & {'prompt_input', 'prompt_query', 'saliency'}:
        tokens['prompt_input'] = layer.ln1(prompts)
    if names & {'prompt_query', 'saliency'}:
        channels = prompts.shape[-1]
        tokens['prompt_query'] = F.linear(
            tokens['prompt_input'],
            layer.attn.qkv.weight[:channels],
            None if bias is None else bias[:channels],
        )
    return tokens
