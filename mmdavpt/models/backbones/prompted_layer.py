"""One transformer layer that sees prompts as a key/value prefix.

VPT-Deep (eq. 1) throws away what a layer makes at the prompts' places, so
prompts act through their keys and values alone. The functions here compute
just that, over the parent layer's own modules: the projection of the prompts
runs once per batch, and queries, output projection and FFN run for [CLS] and
the patches only. The result equals the concatenated form to rounding.
"""

from types import MappingProxyType
from typing import Dict, Mapping, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from .attention import FusedProjection, attend
from .guided_tokens import (
    OF_PATCH_QUERIES,
    AttentionStates,
    TokenRequest,
    take_tokens,
)


class LayerTask(NamedTuple):
    """What one layer is to do besides what its weights say.

    Attributes:
        prompts (Tensor | None): The prefix that the layer sees, with shape
            (P, C), or (B, P, C) under prompt dropout. None if it has none.
        projected (Tensor | None): What :func:`project_prompts` made of
            ``prompts``, if that is known.
        bias_delta (Mapping[str, Tensor]): See :func:`.shifted_qkv_bias`.
        patch_start (int): The place of the first patch in the input: 1 with
            [CLS], else 0; more if prompts stand between.
        cls_only (bool): Whether only [CLS] goes on, so that the queries,
            output projection and FFN of the patches are left out.
        request (TokenRequest | None): What to hand out.
        raw_prompts (Tensor | None): The prompts before dropout, (P, C), which
            guidance acts on. Needed with a ``request``.
    """

    prompts: Optional[Tensor] = None
    projected: Optional[Tensor] = None
    bias_delta: Mapping[str, Tensor] = MappingProxyType({})
    patch_start: int = 1
    cls_only: bool = False
    request: Optional[TokenRequest] = None
    raw_prompts: Optional[Tensor] = None


def project_prompts(
    layer: nn.Module, prompts: Tensor, bias_delta: Mapping[str, Tensor]
) -> Tensor:
    """Return the keys and values of a layer's prompts, side by side.

    Args:
        layer (nn.Module): An mmpretrain ``TransformerEncoderLayer``.
        prompts (Tensor): With shape (P, C) or (B, P, C).
        bias_delta (Mapping[str, Tensor]): See :func:`.shifted_qkv_bias`.

    Returns:
        Tensor: With shape (P, 2C) or (B, P, 2C).
    """
    return FusedProjection(layer.attn, bias_delta)(layer.ln1(prompts), 'kv')


def prompted_layer(
    layer: nn.Module, x: Tensor, task: LayerTask
) -> Tuple[Tensor, Dict[str, Tensor]]:
    """Run one layer with its prompts as a key/value prefix.

    Args:
        layer (nn.Module): An mmpretrain ``TransformerEncoderLayer``.
        x (Tensor): [CLS] and patches, with shape (B, 1+N, C).
        task (LayerTask): Prompts, bias deltas, and what is wanted.

    Returns:
        Tuple[Tensor, Dict[str, Tensor]]: The layer's output, with shape
        (B, 1+N, C) or (B, 1, C) with ``cls_only``; and the tokens by name.
    """
    # A call of its own, so that keys and values are gone before the FFN,
    # which is where inference needs most memory.
    x, tokens = _prompted_attention(layer, x, task)
    return layer.ffn(layer.ln2(x), identity=x), tokens


def _prompted_attention(
    layer: nn.Module, x: Tensor, task: LayerTask
) -> Tuple[Tensor, Dict[str, Tensor]]:
    """Return what the layer's FFN sees, and the tokens by name."""
    attn, request = layer.attn, task.request
    project = FusedProjection(attn, task.bias_delta)
    prefix = task.projected
    if prefix is None and task.prompts is not None:
        prefix = project(layer.ln1(task.prompts), 'kv')
    all_rows = request is not None and request.names & OF_PATCH_QUERIES
    rows = 1 if task.cls_only and not all_rows else x.shape[1]

    normed = layer.ln1(x)
    query, keys, values = _queries_keys_values(project, normed, rows, prefix)
    attended = attend(attn, query, keys, values)
    tokens = {}
    if request is not None:
        states = AttentionStates(x, normed, query, keys, values, attended)
        tokens = take_tokens(
            layer, project, states, task.raw_prompts, task.patch_start, request
        )

    if task.cls_only:
        x, attended = x[:, :1], attended[:, :1]
    out = attn.proj_drop(attn.proj(attended))
    return x + attn.out_drop(attn.gamma1(out)), tokens


def _queries_keys_values(
    project: FusedProjection,
    normed: Tensor,
    rows: int,
    prefix: Optional[Tensor],
) -> Tuple[Tensor, Tensor, Tensor]:
    """Return the queries of the first rows, and all keys and values.

    Args:
        project (FusedProjection): That of the layer.
        normed (Tensor): What it sees, with shape (B, 1+N, C).
        rows (int): The number of rows that have queries.
        prefix (Tensor, optional): The prompts' keys and values, with shape
            (P, 2C) or (B, P, 2C), which come before the others.
    """
    if prefix is None and rows == normed.shape[1]:
        return project(normed).chunk(3, dim=-1)
    if project.plain:
        # Queries apart, since backward keeps them: as a view of one fused
        # result they would keep keys and values as well, next to their copies
        # below.
        query = project(normed[:, :rows], 'q')
        both = project(normed, 'kv')
    else:
        # At once, since each part would cost as much, and dropout of its own.
        fused = project(normed)
        query, both = fused.tensor_split((project.channels,), dim=-1)
        query = query[:, :rows]
    if prefix is not None:
        # (P, 2C) -> (B, P, 2C) without a copy
        prefix = prefix.expand(normed.shape[0], -1, -1)
        both = torch.cat((prefix, both), dim=1)
    return (query, *both.chunk(2, dim=-1))
