"""Find the backbone in a checkpoint and translate its names to mmpretrain."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from mmdavpt.errors import UsageError

from . import families
from .timm_layouts import to_timm_names


class NamedWeights(NamedTuple):
    """Weights of a checkpoint in mmpretrain's names.

    Attributes:
        family (Family): The family that they come from.
        weights (dict[str, Tensor]): Weights of the backbone.
        surplus (list[str]): Keys of the backbone that have no name here.
        left_out (list[str]): Keys of heads and other parts.
    """

    family: families.Family
    weights: dict[str, Tensor]
    surplus: list[str]
    left_out: list[str]


def find_backbone(
    keys: Sequence[str], prefix: str | None = None
) -> tuple[families.Family, str]:
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


def to_mmpretrain(
    weights: Mapping[str, Tensor], prefix: str | None = None
) -> NamedWeights:
    """Give the weights of a backbone mmpretrain's names.

    Args:
        weights (Mapping[str, Tensor]): Weights of a checkpoint.
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
    family: families.Family,
    inside: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    place: str,
) -> families.Family:
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
