"""Find the backbone in a checkpoint and give it mmpretrain's names.

Original layouts (Google's .npz, OpenCLIP, DINOv2, ...) are converted by timm.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
from timm.models import vision_transformer as timm_vit
from torch import Tensor

from mmdavpt.errors import UsageError

from . import families
from .families import Family, Weights


class NamedWeights(NamedTuple):
    """Weights of a checkpoint in mmpretrain's names.

    Attributes:
        family (Family): The family that they come from.
        weights (dict[str, Tensor]): Weights of the backbone.
        surplus (list[str]): Keys of the backbone that have no name here.
        left_out (list[str]): Keys of heads and other parts.
    """

    family: Family
    weights: dict[str, Tensor]
    surplus: list[str]
    left_out: list[str]


def find_backbone(
    keys: Sequence[str], prefix: str | None = None
) -> tuple[Family, str]:
    """Return the family of a checkpoint and the prefix of its backbone.

    Args:
        keys (Sequence[str]): Keys of the checkpoint.
        prefix (str, optional): Prefix of the backbone's keys. Defaults to
            None: find it.

    Raises:
        UsageError: If there is no Vision Transformer, or if there are several
            and none is known to be the one to use.
    """
    found = []
    for family, key in product(families.FAMILIES, keys):
        if match := re.fullmatch(rf'(.+\.)?{family.marker}', key):
            found.append((family, match[1] or ''))
    places = ' and '.join(repr(place) for _, place in found)
    if prefix is not None:
        prefix = prefix if prefix.endswith('.') or not prefix else f'{prefix}.'
        chosen = [pair for pair in found if pair[1] == prefix]
        if not chosen:
            raise UsageError(
                f'there is no Vision Transformer under the prefix {prefix!r}, '
                f'but under {places or "none"}; correct init_cfg.prefix'
            )
        return chosen[0]
    if not found:
        known = ', '.join(family.name for family in families.FAMILIES)
        raise UsageError(
            'the checkpoint should hold a Vision Transformer with names of '
            f'{known} or Google, but has {len(keys)} keys such as '
            f'{list(keys)[:4]}; docs/weights.md lists the supported files'
        )
    for tower in families.PREFERRED_TOWERS:
        chosen = [pair for pair in found if tower in pair[1].split('.')]
        if len(chosen) == 1:
            return chosen[0]
    if len(found) > 1:
        raise UsageError(
            'the checkpoint holds several Vision Transformers, under '
            f'{places}; set init_cfg.prefix to one of them'
        )
    return found[0]


def to_mmpretrain(weights: Weights, prefix: str | None = None) -> NamedWeights:
    """Give the weights of a backbone mmpretrain's names.

    Args:
        weights (Weights): Weights of a checkpoint.
        prefix (str, optional): See :func:`find_backbone`.

    Returns:
        NamedWeights: The weights in mmpretrain's shapes.

    Raises:
        UsageError: If there is no Vision Transformer; see
            :func:`find_backbone`.
    """
    family, place = find_backbone(list(weights), prefix)
    left_out = [key for key in weights if not key.startswith(place)]
    keys = [key for key in weights if key.startswith(place)]
    inside = {key.removeprefix(place): weights[key] for key in keys}
    origin = _with_method(family, inside, weights, place)
    if family in (families.TIMM, families.OPENCLIP):
        inside = to_timm_names(inside)
    named, surplus = {}, []
    for key, value in inside.items():
        name = translate(key, family.names)
        if name is None and re.match(rf'({family.kept})(\.|$)', key):
            name = key
        if name is not None:
            named[name] = value
        elif re.match(rf'({family.backbone})(\.|$)', key):
            surplus.append(place + key)
        else:
            left_out.append(place + key)
    if family is families.MMSEG and 'pre_norm.weight' not in named:
        # mmseg's projection has no bias by default, which equals zeros.
        # mmpretrain's has none either if a norm follows it.
        channels = len(named['layers.0.attn.qkv.weight']) // 3
        named.setdefault('patch_embed.projection.bias', torch.zeros(channels))
    if family is families.TIMM and 'pre_norm.weight' in named:
        eps = families.OPENCLIP.norm_eps  # CLIP of timm
        origin = origin._replace(norm_eps=eps)
    return NamedWeights(origin, named, surplus, left_out)


def translate(key: str, names: Mapping[str, str]) -> str | None:
    """Return the name of a weight in another library; None if it has none.

    Args:
        key (str): Its name.
        names (Mapping[str, str]): See :class:`.Family`.
    """
    stem, kind = re.fullmatch(r'(.+?)(?:[._](weight|bias))?', key).groups()
    layer = re.search(r'(?<=[._])\d+(?=\.)', stem)
    if layer:
        stem = f'{stem[: layer.start()]}*{stem[layer.end() :]}'
    name = names.get(stem)
    if name and layer:
        name = name.replace('*', layer[0])
    return f'{name}.{kind}' if name and kind else name


def _with_method(
    family: Family, inside: Weights, weights: Weights, place: str
) -> Family:
    """Return the family with its training method, if keys reveal it."""
    if family is families.OPENCLIP and 'input_resolution' in weights:
        # OpenAI's files store the image size next to the weights.
        return family._replace(name='CLIP (OpenAI)', activation='QuickGELU')
    found = {
        'MAE': 'decoder_embed.weight' in inside,
        'MoCo v3': 'base_encoder' in place.split('.'),
        'DINOv2': 'mask_token' in inside and any('.ls1.' in k for k in inside),
    }
    method = next((name for name in found if found[name]), None)
    if family is not families.TIMM or method is None:
        return family
    declared = families.Normalization(*families.IMAGENET, method)
    return family._replace(name=f'timm ({method})', normalization=declared)


def to_timm_names(weights: Weights) -> dict[str, Tensor]:
    """Give the weights of an image tower timm's names and shapes.

    Args:
        weights (Weights): Keys without the prefix of the tower,
            as timm, OpenCLIP, MAE, MoCo v3, DINO or DINOv2 name them.

    Returns:
        dict[str, Tensor]: The same weights; position embeddings keep their
        size.
    """
    projection = weights.get('patch_embed.proj.weight', torch.empty(0))
    projection = weights.get('conv1.weight', projection)
    if projection.ndim == 4:
        patch = projection.shape[-1]
    elif projection.ndim == 2:  # early files of timm have a linear projection
        patch = isqrt(projection.shape[1] // 3)
    else:
        return dict(weights)  # damaged, which strict loading reports
    with torch.device('meta'):
        # timm reads the patch size off this model, and nothing else.
        sizes = dict(embed_dim=len(projection), depth=1, num_heads=1)
        options = dict(num_classes=0, pos_embed='none')
        model = timm_vit.VisionTransformer(patch, patch, **sizes, **options)
    # timm expects OpenCLIP's prefix, and no chunks of DINOv2's blocks.
    prefix = 'visual.' if 'class_embedding' in weights else ''
    named = {
        prefix + re.sub(r'^blocks\.\d+\.(\d+)', r'blocks.\1', key): value
        for key, value in weights.items()
    }
    # Adapted are the names of DeiT III's authors.
    return timm_vit.checkpoint_filter_fn(named, model, adapt_layer_scale=True)


def read_google(path: str) -> dict[str, Tensor]:
    """Read an ``.npz`` file of Google's original ViT or AugReg.

    Args:
        path (str): Such as ``ViT-B_16.npz`` of
            https://storage.googleapis.com/vit_models.

    Returns:
        dict[str, Tensor]: The backbone in float32 with timm's names.

    Raises:
        UsageError: If the file holds another model.
    """
    with np.load(path, allow_pickle=False) as file:
        top = 'opt/target/' if 'opt/target/cls' in file.files else ''
        if not {f'{top}embedding/kernel', f'{top}cls'} <= set(file.files):
            raise UsageError(
                f"{path} should hold the arrays 'embedding/kernel' and 'cls' "
                'of an original Vision Transformer, but has '
                f'{file.files[:4]}; convert other models with timm'
            )
        layers = f'{top}Transformer/encoderblock_'
        attention = f'{layers}0/MultiHeadDotProductAttention_1/query/kernel'
        patch, _, _, channels = file[f'{top}embedding/kernel'].shape
        positions = file[f'{top}Transformer/posembed_input/pos_embedding']
        hidden = file[f'{layers}0/MlpBlock_3/Dense_0/bias'].size
        keys = [key for key in file.files if key.startswith(layers)]
        model = timm_vit.VisionTransformer(
            img_size=patch * isqrt(positions.shape[1] - 1),
            patch_size=patch,
            embed_dim=channels,
            depth=len({k.split('/')[-3] for k in keys if 'LayerNorm_0' in k}),
            num_heads=file[attention].shape[1],
            mlp_ratio=hidden / channels,
            num_classes=0,
        )
    model.load_pretrained(path, top)
    return model.state_dict()
