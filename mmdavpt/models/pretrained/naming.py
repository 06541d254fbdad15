"""Find the backbone in a checkpoint, and give its weights the names here."""

import re
from collections.abc import Mapping, Sequence
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor

from mmdavpt.errors import UsageError

from .families import (
    CLIP,
    CLIP_TOWER,
    FAMILIES,
    IMAGENET,
    MMSEG,
    PREFERRED_TOWERS,
    TIMM,
    Family,
    Normalization,
)


class NamedWeights(NamedTuple):
    """The weights of a checkpoint, in mmpretrain's names.

    Attributes:
        family (Family): Whose names they had.
        label (str): The family, and the method if it can be told.
        weights (dict[str, Tensor]): The backbone's.
        surplus (list[str]): Keys of the backbone that have no name here.
        left_out (list[str]): Keys of heads and other parts.
        normalization (Normalization, optional): Declared by the method.
    """

    family: Family
    label: str
    weights: dict[str, Tensor]
    surplus: list[str]
    left_out: list[str]
    normalization: Normalization | None = None


def find_backbone(
    keys: Sequence[str], prefix: str | None = None
) -> tuple[Family, str]:
    """Return the family of a checkpoint and the prefix of its backbone.

    Args:
        keys (Sequence[str]): The checkpoint's.
        prefix (str, optional): What the keys of the backbone start with.
            Defaults to None, which looks for it.

    Raises:
        UsageError: If there is no Vision Transformer, or if there are
            several and none is known to be the one that is meant.
    """
    found = [
        (family, match[1] or '')
        for family in FAMILIES
        for key in keys
        if (match := re.fullmatch(rf'(.+\.)?{family.marker}', key))
    ]
    if prefix is not None:
        prefix = prefix if prefix.endswith('.') or not prefix else f'{prefix}.'
        for family, place in found:
            if place == prefix:
                return family, place
        raise UsageError(
            f'under the prefix {prefix!r} there should be a Vision '
            f'Transformer, but there is none{_where(found, keys)}'
        )
    if not found:
        raise UsageError(
            'the checkpoint should hold a Vision Transformer with the names '
            f'of {", ".join(f.name for f in FAMILIES)} or of Google, but has '
            f'{len(keys)} keys such as {list(keys)[:4]}; docs/weights.md '
            'lists what can be loaded'
        )
    for tower in PREFERRED_TOWERS:
        chosen = [(f, p) for f, p in found if tower in p.split('.')]
        if len(chosen) == 1:
            return chosen[0]
    if len(found) > 1:
        raise UsageError(
            'the checkpoint holds several Vision Transformers'
            f'{_where(found, keys)}'
        )
    return found[0]


def _where(found: Sequence[tuple[Family, str]], keys: Sequence[str]) -> str:
    if not found:
        return f'; it has {len(keys)} keys such as {list(keys)[:4]}'
    places = ' and '.join(repr(prefix) for _, prefix in found)
    return f'; they stand under {places}: set init_cfg.prefix to one of them'


def to_mmpretrain(
    weights: Mapping[str, Tensor], prefix: str | None = None
) -> NamedWeights:
    """Give the weights of a backbone mmpretrain's names.

    Args:
        weights (Mapping[str, Tensor]): A checkpoint's.
        prefix (str, optional): See :func:`find_backbone`.

    Returns:
        NamedWeights: The weights, with the shapes that mmpretrain has.

    Raises:
        UsageError: If there is no Vision Transformer; see
            :func:`find_backbone`.
    """
    family, place = find_backbone(list(weights), prefix)
    named, surplus, left_out = {}, [], []
    for key, value in weights.items():
        name = None
        if key.startswith(place):
            short = key[len(place) :]
            name = _rename(short, family.rules)
            if name is None and re.match(family.backbone, short):
                surplus.append(key)
                continue
        if name is None:
            left_out.append(key)
        else:
            named[name] = _as_here(name, value)
    projection = 'patch_embed.projection.'
    if family is MMSEG and f'{projection}weight' in named:
        # mmseg's default is a projection without bias: the same as zeros.
        # With a norm before the layers there is none here either.
        channels = named[f'{projection}weight'].shape[0]
        if 'pre_norm.weight' not in named:
            named.setdefault(f'{projection}bias', torch.zeros(channels))
    method, normalization = _method(family, weights, place, named)
    eps = family.norm_eps
    if family is TIMM and 'pre_norm.weight' in named:
        eps = CLIP_TOWER.norm_eps  # timm's form of CLIP
    return NamedWeights(
        family=family._replace(norm_eps=eps),
        label=f'{family.name} ({method})' if method else family.name,
        weights=named,
        surplus=surplus,
        left_out=left_out,
        normalization=normalization,
    )


def of_family(named: NamedWeights, label: str) -> NamedWeights:
    """Return weights as those of the family that they were converted from.

    Args:
        named (NamedWeights): With mmpretrain's names.
        label (str): The family, and the method if it is known.
    """
    origin = next(
        (family for family in FAMILIES if label.startswith(family.name)), None
    )
    eps = None if origin is None else origin.norm_eps
    if origin is TIMM and 'pre_norm.weight' in named.weights:
        eps = CLIP_TOWER.norm_eps
    return named._replace(
        label=label, family=named.family._replace(name=label, norm_eps=eps)
    )


def _rename(key: str, rules: Sequence[tuple[str, str]]) -> str | None:
    for pattern, name in rules:
        match = re.fullmatch(pattern, key)
        if match:
            return match.expand(name)
    return None


def _as_here(name: str, value: Tensor) -> Tensor:
    """Bring a weight into mmpretrain's shape, where that is certain."""
    if name == 'cls_token':
        return value.reshape(1, 1, -1)
    if name == 'pos_embed' and value.ndim == 2:
        return value[None]
    if name == 'patch_embed.projection.weight' and value.ndim == 2:
        # Early files of timm embed patches by a linear layer over (3, p, p).
        side = isqrt(value.shape[1] // 3)
        if 3 * side * side == value.shape[1]:
            return value.reshape(-1, 3, side, side)
    return value


def _method(
    family: Family,
    weights: Mapping[str, Tensor],
    prefix: str,
    named: Mapping[str, Tensor],
) -> tuple[str, Normalization | None]:
    """Tell what the weights were trained by, where a key gives it away."""
    if family is CLIP_TOWER:
        # OpenAI's files hold these three numbers beside the weights.
        who = 'OpenAI' if 'input_resolution' in weights else ''
        return who, Normalization(*CLIP, 'CLIP')
    if family is not TIMM:
        return '', None
    if f'{prefix}decoder_embed.weight' in weights:
        return 'MAE', Normalization(*IMAGENET, 'MAE')
    if 'base_encoder' in prefix.split('.'):
        return 'MoCo v3', Normalization(*IMAGENET, 'MoCo v3')
    if f'{prefix}mask_token' in weights and any(
        name.endswith('gamma1.weight') for name in named
    ):
        return 'DINOv2', Normalization(*IMAGENET, 'DINOv2')
    return '', None


def architecture(weights: Mapping[str, Tensor]) -> str:
    """Say in words what Vision Transformer the weights make.

    Args:
        weights (Mapping[str, Tensor]): In mmpretrain's names.
    """
    layers = {
        int(name.split('.')[1])
        for name in weights
        if name.startswith('layers.')
    }
    projection = weights.get('patch_embed.projection.weight', torch.empty(0))
    position = weights.get('pos_embed', torch.empty(0))
    parts = [f'{max(layers, default=-1) + 1} layers']
    if projection.ndim == 4:
        parts[0] += f' of {projection.shape[0]} channels'
        parts.append('patches of {}x{}'.format(*projection.shape[2:]))
    if position.ndim == 3:
        parts.append(f'{position.shape[1]} position embeddings')
    if 'layers.0.attn.gamma1.weight' in weights:
        parts.append('layer scale')
    if 'pre_norm.weight' in weights:
        parts.append('a norm before the layers')
    return ', '.join(parts)
