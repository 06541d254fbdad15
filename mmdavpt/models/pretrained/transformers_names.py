"""Translate names of Hugging Face transformers to timm's."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .naming import translate

#: timm's names, each with those of transformers 4, which files have, and of
#: version 5. What precedes a layer's number is written ``blocks``.
OTHER_NAMES = {
    'cls_token': 'embeddings.cls_token embeddings.class_embedding',
    'pos_embed': 'embeddings.position_embeddings '
    'embeddings.position_embedding',
    'reg_token': 'embeddings.register_tokens',
    'patch_embed.proj': 'embeddings.patch_embeddings '
    'embeddings.patch_embeddings.projection embeddings.patch_embedding',
    'norm_pre': 'pre_layrnorm',
    'norm': 'norm layernorm post_layernorm',
    'attn_pool.latent': 'head.probe',
    'attn_pool.qkv': 'head.attention.in_proj',
    'attn_pool.proj': 'head.attention.out_proj',
    'attn_pool.norm': 'head.layernorm',
    'attn_pool.mlp.fc1': 'head.mlp.fc1',
    'attn_pool.mlp.fc2': 'head.mlp.fc2',
    'blocks.*.norm1': 'blocks.*.layernorm_before blocks.*.layer_norm1',
    'blocks.*.norm2': 'blocks.*.layernorm_after blocks.*.layer_norm2',
    'blocks.*.attn.q_proj': 'blocks.*.attention.attention.query '
    'blocks.*.attention.q_proj blocks.*.self_attn.q_proj',
    'blocks.*.attn.k_proj': 'blocks.*.attention.attention.key '
    'blocks.*.attention.k_proj blocks.*.self_attn.k_proj',
    'blocks.*.attn.v_proj': 'blocks.*.attention.attention.value '
    'blocks.*.attention.v_proj blocks.*.self_attn.v_proj',
    'blocks.*.attn.proj': 'blocks.*.attention.output.dense '
    'blocks.*.attention.o_proj blocks.*.self_attn.out_proj',
    'blocks.*.gamma_1': 'blocks.*.layer_scale1.lambda1',
    'blocks.*.gamma_2': 'blocks.*.layer_scale2.lambda1',
    'blocks.*.mlp.fc1_g': 'blocks.*.mlp.gate_proj',
    'blocks.*.mlp.fc1': 'blocks.*.intermediate.dense blocks.*.mlp.up_proj '
    'blocks.*.mlp.weights_in',
    'blocks.*.mlp.fc2': 'blocks.*.output.dense blocks.*.mlp.down_proj '
    'blocks.*.mlp.weights_out',
}
NAMES = {old: new for new, olds in OTHER_NAMES.items() for old in olds.split()}
#: What precedes the number of a layer.
LAYERS = re.compile(r'(?:model\.|encoder\.)?layers?\.(?=\d)')
#: Parts of a file that timm's models lack.
UNUSED = ('embeddings.mask_token', 'embeddings.position_ids', 'pooler.')


def is_of_transformers(weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights have names of transformers.

    Args:
        weights (Mapping[str, Tensor]): Weights of a file, by name.
    """
    return any('embeddings.patch_embedding' in key for key in weights)


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
    prefix = stem.partition('embeddings.')[0]
    own = {
        LAYERS.sub('blocks.', key.removeprefix(prefix), count=1): value
        for key, value in weights.items()
        if key.startswith(prefix)
    }
    named = {
        translate(key, NAMES) or key: value
        for key, value in own.items()
        if not key.startswith(UNUSED)
    }
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


def _fuse(
    named: dict[str, Tensor], key: str, target: Mapping[str, Tensor]
) -> None:
    """Fuse the weights of queries, keys and values, and their biases."""
    parts = [
        named.pop(key.replace('q_proj', f'{part}_proj'), None)
        for part in 'qkv'
    ]
    queries, values = (
        key.replace('q_proj.bias', f'{part}_bias') for part in 'qv'
    )
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
