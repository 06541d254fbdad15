"""Translate names of Hugging Face transformers to timm's."""

import re

import torch
from torch import Tensor, nn

from .families import Weights, read_rows

#: Patterns of names, of transformers 4, which files have, and of version 5, to
#: what timm calls it. The first ones that match a part of a name rename it.
RENAMED = [row.values() for row in read_rows('transformers_names.csv')]
#: Parts of a file that timm's models lack.
UNUSED = ('embeddings.mask_token', 'embeddings.position_ids', 'pooler.')


def is_of_transformers(weights: Weights) -> bool:
    """Return whether weights have names of transformers.

    Args:
        weights (Weights): Weights of a file, by name.
    """
    return any('embeddings.patch_embedding' in key for key in weights)


def from_transformers(weights: Weights, vit: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a vision model with timm's names.

    ``ViTModel``, ``Dinov2Model``, ``Dinov2WithRegistersModel``,
    ``DINOv3ViTModel``, ``CLIPVisionModel`` and ``SiglipVisionModel``, also
    inside of models with a head or a text tower. Unknown names are kept.

    Args:
        weights (Weights): Weights of a file, by name.
        vit (nn.Module): timm's model.
    """
    stem = next(k for k in weights if 'embeddings.patch_embedding' in k)
    prefix = stem.partition('embeddings.')[0]
    inside = [k.removeprefix(prefix) for k in weights if k.startswith(prefix)]
    used = [key for key in inside if not key.startswith(UNUSED)]
    named = {_renamed(key): weights[prefix + key] for key in used}
    target = vit.state_dict()
    for key in [key for key in named if 'q_proj' in key]:
        _fuse(named, key, target)
    for key in [key for key in named if '.fc1_g.' in key]:
        fused = key.replace('fc1_g', 'fc1')
        gate, value = named.pop(key), named.pop(fused)
        if fused in target:
            named[fused] = torch.cat([gate, value])
        else:
            named[key] = gate
            named[key.replace('fc1_g', 'fc1_x')] = value
    for key in [key for key in named if key.startswith('attn_pool.qkv.')]:
        queries, others = named.pop(key).tensor_split([vit.embed_dim])
        named[key.replace('qkv', 'q')] = queries
        named[key.replace('qkv', 'kv')] = others
    _fit_stem(named, vit)
    return named


def _renamed(key: str) -> str:
    for pattern, name in RENAMED:
        key = re.sub(pattern, name, key)
    return key


def _fuse(named: dict[str, Tensor], key: str, target: Weights) -> None:
    """Fuse the weights of queries, keys and values, and their biases."""
    names = [key.replace('q_proj', f'{part}_proj') for part in 'qkv']
    parts = [named.pop(name, None) for name in names]
    queries, values = (key.replace('q_proj.bias', f'{x}_bias') for x in 'qv')
    if queries in target:  # EvaAttention has no bias of keys
        named[queries], named[values] = parts[0], parts[2]
    else:
        named[key.replace('q_proj', 'qkv')] = torch.cat(parts)


def _fit_stem(named: dict[str, Tensor], vit: nn.Module) -> None:
    """Give [CLS] and position embeddings timm's shapes."""
    if 'cls_token' in named:
        named['cls_token'] = named['cls_token'].reshape(1, 1, -1)
    positions = named.pop('pos_embed.weight', named.get('pos_embed'))
    if positions is None:
        return
    positions = positions.reshape(1, -1, vit.embed_dim)
    if vit.no_embed_class and 'cls_token' in named:
        # timm has no position of [CLS], so it is part of it.
        named['cls_token'] = named['cls_token'] + positions[:, :1]
        positions = positions[:, 1:]
    named['pos_embed'] = positions
