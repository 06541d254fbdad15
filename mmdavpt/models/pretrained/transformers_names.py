"""Translate names of Hugging Face transformers to timm's."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: Patterns of names to timm's, the first that matches the whole name. Files
#: have names of transformers 4, models of version 5.
NAMES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'embeddings\.(?:cls_token|class_embedding)', 'cls_token'),
        (r'embeddings\.position_embeddings?(?:\.weight)?', 'pos_embed'),
        (r'embeddings\.register_tokens', 'reg_token'),
        (
            r'embeddings\.patch_embeddings?(?:\.projection)?\.(\w+)',
            r'patch_embed.proj.\1',
        ),
        (r'pre_layrnorm\.(\w+)', r'norm_pre.\1'),
        (r'(?:post_)?(?:layer)?norm\.(\w+)', r'norm.\1'),
        (r'head\.probe', 'attn_pool.latent'),
        (r'head\.attention\.in_proj_(\w+)', r'attn_pool.qkv.\1'),
        (r'head\.attention\.out_proj\.(\w+)', r'attn_pool.proj.\1'),
        (r'head\.layernorm\.(\w+)', r'attn_pool.norm.\1'),
        (r'head\.mlp\.(.+)', r'attn_pool.mlp.\1'),
        (
            r'(\d+\.)(?:self_attn|attention)\.(?:attention\.)?'
            r'([qkv])(?:_proj|uery|ey|alue)\.(\w+)',
            r'blocks.\1attn.\2_proj.\3',
        ),
        (
            r'(\d+\.)(?:self_attn|attention)\.'
            r'(?:o_proj|out_proj|output\.dense)\.(\w+)',
            r'blocks.\1attn.proj.\2',
        ),
        (
            r'(\d+\.)(?:layernorm_before|layer_?norm1|norm1)\.(\w+)',
            r'blocks.\1norm1.\2',
        ),
        (
            r'(\d+\.)(?:layernorm_after|layer_?norm2|norm2)\.(\w+)',
            r'blocks.\1norm2.\2',
        ),
        (r'(\d+\.)layer_scale(\d)\.lambda1', r'blocks.\1gamma_\2'),
        (r'(\d+\.)mlp\.gate_proj\.(\w+)', r'blocks.\1mlp.fc1_g.\2'),
        (
            r'(\d+\.)(?:intermediate\.dense|mlp\.(?:fc1|up_proj|weights_in))'
            r'\.(\w+)',
            r'blocks.\1mlp.fc1.\2',
        ),
        (
            r'(\d+\.)(?:output\.dense|mlp\.(?:fc2|down_proj|weights_out))'
            r'\.(\w+)',
            r'blocks.\1mlp.fc2.\2',
        ),
    )
]
#: What precedes a name, and the index of a layer.
PREFIX = re.compile(r'.*?(?=embeddings\.|pre_layrnorm\.)')
LAYERS = re.compile(r'(?:model\.|encoder\.)?layers?\.(?=\d)')
#: Parts of a file that timm's models lack.
UNUSED = ('embeddings.mask_token', 'embeddings.position_ids', 'pooler.')


def is_of_transformers(weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights have names of transformers.

    Args:
        weights (Mapping[str, Tensor]): Weights of a file, by name.
    """
    return any(
        re.search(r'(^|\.)embeddings\.patch_embedding', key) for key in weights
    )


def from_transformers(
    weights: Mapping[str, Tensor], vit: nn.Module
) -> dict[str, Tensor]:
    """Return the weights of a vision model with timm's names.

    ``ViTModel``, ``Dinov2Model``, ``Dinov2WithRegistersModel``,
    ``DINOv3ViTModel``, ``CLIPVisionModel`` and ``SiglipVisionModel``, also
    inside of models with a head or a text tower. Unknown names are kept.

    Args:
        weights (Mapping[str, Tensor]): Weights of a file, by name.
        vit (nn.Module): timm's model.
    """
    stem = next(k for k in weights if 'embeddings.patch_embedding' in k)
    prefix = PREFIX.match(stem).group()
    own = {
        LAYERS.sub('', key.removeprefix(prefix), count=1): value
        for key, value in weights.items()
        if key.startswith(prefix)
    }
    named = {
        _to_timm(key): value
        for key, value in own.items()
        if not key.startswith(UNUSED)
    }
    target = vit.state_dict()
    for key in [key for key in named if 'q_proj' in key]:
        if f'{key.rpartition(".q_proj.")[0]}.qkv.weight' in target:
            _fuse(named, key, target)
    for key in [key for key in named if 'gamma_' in key]:
        if key not in target:
            new = re.sub(r'gamma_(\d)', r'ls\1.gamma', key)
            named[new] = named.pop(key)
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


def _to_timm(key: str) -> str:
    for pattern, replacement in NAMES:
        match = pattern.fullmatch(key)
        if match:
            return match.expand(replacement)
    return key


def _fuse(
    named: dict[str, Tensor], key: str, target: Mapping[str, Tensor]
) -> None:
    """Fuse the weights of queries, keys and values, and their biases."""
    parts = [
        named.pop(key.replace('q_proj', f'{part}_proj'), None)
        for part in 'qkv'
    ]
    if key.endswith('bias'):
        parts = [torch.zeros_like(parts[0]) if p is None else p for p in parts]
        for part, value in zip('qv', (parts[0], parts[2]), strict=True):
            single = key.replace('q_proj.bias', f'{part}_bias')
            if single in target:  # EvaAttention has none for keys
                named[single] = value
                parts = []
    if parts:
        named[key.replace('q_proj', 'qkv')] = torch.cat(parts)


def _fit_stem(named: dict[str, Tensor], vit: nn.Module) -> None:
    """Give [CLS] and position embeddings timm's shapes."""
    if 'cls_token' in named:
        named['cls_token'] = named['cls_token'].reshape(1, 1, -1)
    if 'pos_embed' not in named:
        return
    positions = named['pos_embed'].reshape(1, -1, vit.embed_dim)
    if vit.no_embed_class and 'cls_token' in named:
        # timm has no position of [CLS], so it is part of it.
        named['cls_token'] = named['cls_token'] + positions[:, :1]
        positions = positions[:, 1:]
    named['pos_embed'] = positions
