"""What is said of weights that are loaded, and of those that do not fit."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from mmengine.logging import print_log
from torch import Tensor, nn

from .families import Normalization
from .naming import NamedWeights, architecture


def some(items: Iterable[str], separator: str = ', ', most: int = 4) -> str:
    """Join the first few of many, and say how many more there are."""
    items = list(items)
    more = f' and {len(items) - most} more' if len(items) > most else ''
    return separator.join(items[:most]) + more


def misfit(
    module: nn.Module,
    named: NamedWeights,
    missing: list[str],
    surplus: list[str],
) -> str:
    """Say which weights a backbone lacks, and which it has no place for."""
    parts = []
    if missing:
        parts.append(f'{len(missing)} weights are missing ({some(missing)})')
    if surplus:
        parts.append(
            f'{len(surplus)} have no place in the backbone ({some(surplus)})'
        )
    return (
        f'the checkpoint, with names of {named.label}, should hold exactly '
        f'the weights of {type(module).__name__}, but {" and ".join(parts)}. '
        + both_architectures(module, named)
    )


def both_architectures(module: nn.Module, named: NamedWeights) -> str:
    """Say what a checkpoint and a backbone are, side by side."""
    return (
        f'The checkpoint has {architecture(named.weights)}; the backbone of '
        f'the config has {architecture(module.state_dict())}. Make arch, '
        'patch_size, img_size, layer_scale_init_value, pre_norm and '
        'with_cls_token of the backbone those of the checkpoint '
        '(docs/weights.md)'
    )


def made_with(normalization: Normalization | None) -> str:
    """Say how the images were normalised that weights were made with."""
    if normalization is None:
        return 'how images were normalised is not declared'
    return (
        f'images were normalised by mean {_numbers(normalization.mean)} and '
        f'std {_numbers(normalization.std)} (as {normalization.source} '
        'declares)'
    )


def _numbers(values: Sequence[float]) -> str:
    return '[' + ', '.join(f'{value:.6g}' for value in values) + ']'


def left_out(keys: list[str]) -> str:
    """Name the keys that were not loaded, long lists by their beginning."""
    if len(keys) > 12:
        groups = Counter(key.split('.')[0].split('/')[0] for key in keys)
        keys = [f'{name}.* ({n})' for name, n in groups.items()]
    return f'; left out: {some(keys, most=12)}' if keys else ''


def untouched(
    module: nn.Module, weights: dict[str, Tensor], own: Sequence[str]
) -> str:
    """Name the weights of a backbone that stay as they were."""
    kept = [
        key
        for key in module.state_dict()
        if key not in weights and not key.startswith(tuple(own))
    ]
    return f'; not in the checkpoint: {some(kept)}' if kept else ''


def warn_of_other_functions(module: nn.Module, named: NamedWeights) -> None:
    """Warn where the weights fit, but the functions are others."""
    layer = module.layers[0]
    here, there = getattr(layer.ln1, 'eps', None), named.family.norm_eps
    if there is not None and here is not None and here != there:
        print_log(
            f'weights of {named.label} were made with layer norms of eps '
            f'{there:g}, but the backbone has {here:g}; set '
            f"norm_cfg=dict(type='LN', eps={there:g}) of the backbone",
            logger='current',
            level=logging.WARNING,
        )
    inside = {type(part).__name__ for part in layer.ffn.modules()}
    if named.label == 'CLIP (OpenAI)' and 'QuickGELU' not in inside:
        print_log(
            "OpenAI's CLIP was made with QuickGELU, but the backbone has "
            'another activation; set '
            "layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU')) of "
            'the backbone',
            logger='current',
            level=logging.WARNING,
        )
