"""One transformer layer that sees prompts as a key/value prefix.

VPT-Deep (eq. 1) discards the outputs of prompts, so prompts act through their
keys and values alone. The functions here compute just that, over the frozen
layer's own modules: the projection of the prompts runs once per batch, and
queries, output projection and MLP run for [CLS] and the patches only. The
result equals the concatenated form to rounding.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import Tensor, nn

from .guided_tokens import AttentionStates, LayerTask, take_tokens
from .tuned_layer import TunedLayer


def project_prompts(layer: TunedLayer, prompts: Tensor) -> Tensor:
    """Return the keys and values of a layer's prompts, side by side.

    Args:
        layer (TunedLayer): The layer.
        prompts (Tensor): With shape (P, C).

    Returns:
        Tensor: With shape (P, 2C).
    """
    return layer.project(layer.norm1(prompts), 'kv')


def prompted_layer(
    layer: nn.Module, x: Tensor, task: LayerTask
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run one layer with its prompts as a key/value prefix.

    Args:
        layer (nn.Module): A layer of the backbone.
        x (Tensor): [CLS] and patches, with shape (B, 1+N, C).
        task (LayerTask): Prompts, tuners, and what to return.

    Returns:
        tuple[Tensor, dict[str, Tensor]]: The layer's output, with shape
        (B, 1+N, C) or (B, 1, C) with ``cls_only``; and the tokens by name.
    """
    tuned = TunedLayer(layer, task.tuners, task.rope)
    # A separate call, so that keys and values are freed before the MLP,
    # which is where inference needs most memory.
    x, tokens = _prompted_attention(tuned, x, task)
    return tuned.add_mlp(x), tokens


def _prompted_attention(
    layer: TunedLayer, x: Tensor, task: LayerTask
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the input of the layer's MLP, and the tokens by name."""
    request = task.request
    prefix = layer.tuners.prefix()
    if task.projected is not None:
        prefix.append(task.projected)
    elif task.prompts is not None:
        prefix.append(project_prompts(layer, task.prompts))

    normed = layer.norm1(x)
    query, keys, values, saving = _attention_inputs(
        layer, normed, prefix, task
    )
    with saving:
        attended = layer.view.attend(query, keys, values)
    tokens = {}
    if request is not None:
        states = AttentionStates(x, normed, query, keys, values, attended)
        tokens = take_tokens(layer, states, task)

    if task.cls_only:
        x, attended = x[:, :1], attended[:, :1]
    return layer.add_attention(x, attended), tokens


def _attention_inputs(
    layer: TunedLayer, normed: Tensor, prefix: list[Tensor], task: LayerTask
) -> tuple[Tensor, Tensor, Tensor, AbstractContextManager]:
    """Return the queries, of [CLS] alone if that suffices, keys and values.

    Args:
        layer (TunedLayer): The layer.
        normed (Tensor): Normalized tokens, with shape (B, 1+N, C).
        prefix (list[Tensor]): Keys and values that come before the others,
            each with shape (P, 2C).
        task (LayerTask): See :func:`prompted_layer`.

    Returns:
        tuple[Tensor, Tensor, Tensor, AbstractContextManager]: These, and the
        context in which attention saves them for backward.
    """
    request, saving, start = task.request, nullcontext(), task.patch_start
    all_rows = request is not None and request.needs_all_queries
    rows = 1 if task.cls_only and not all_rows else normed.shape[1]
    if not prefix and rows == normed.shape[1]:
        return *layer.project(normed, 'qkv', start).chunk(3, dim=-1), saving
    if layer.view.projects_in_parts:
        # Queries apart, since backward keeps them: as a view of one fused
        # result they would keep keys and values as well, next to their copies
        # below.
        query = layer.project(normed[:, :rows], 'q', start)
        both = layer.project(normed, 'kv', start)
    else:
        # At once, since each part would cost as much, and draw its own
        # dropout.
        fused = layer.project(normed, 'qkv', start)
        query, both = fused.tensor_split((fused.shape[-1] // 3,), dim=-1)
        query = query[:, :rows]
    if prefix:
        # (P, 2C) -> (B, P, 2C) without a copy
        parts = [p.expand(normed.shape[0], -1, -1) for p in prefix] + [both]
        both = torch.cat(parts, dim=1)
        # Not within `torch.func`, which has no hooks.
        enabled = torch._C._autograd._saved_tensors_hooks_is_enabled
        if task.rejoin and both.requires_grad and enabled():
            saving = _save_parts(parts, both)
    return (query, *both.chunk(2, dim=-1), saving)


def _save_parts(parts: list[Tensor], joined: Tensor) -> AbstractContextManager:
    """Return a context in which views of a tensor are saved as its parts.

    ``joined`` has the prompts once per image, the parts once per batch.
    Backward joins them again, to the same bits.

    Args:
        parts (list[Tensor]): Keys and values of prompts and of tokens, each
            with shape (B, T, 2C).
        joined (Tensor): Their concatenation.
    """
    storage = joined.untyped_storage()._cdata
    # For keys and values, which backward takes in turn.
    again = cache(lambda: torch.cat(parts, dim=1))

    def pack(x: Tensor) -> Tensor | tuple:
        own = x.untyped_storage()._cdata == storage
        return (x.shape, x.stride(), x.storage_offset()) if own else x

    def unpack(x: Tensor | tuple) -> Tensor:
        return x if isinstance(x, Tensor) else again().as_strided(*x)

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)
