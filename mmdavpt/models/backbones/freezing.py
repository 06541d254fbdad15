"""Freeze parameters and keep frozen modules in eval mode."""

import logging
from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from torch import nn

from mmdavpt.models.trainable import is_added, select_trainable


def freeze(vit: nn.Module, trainable: Sequence[str]) -> None:
    """Freeze all but the parameters that tuning adds and those that are named.

    Args:
        vit (nn.Module): A ``PromptedBackbone``.
        trainable (Sequence[str]): Name patterns of pre-trained parameters.

    Raises:
        ValueError: If the patterns are a string, or one matches nothing.
    """
    if isinstance(trainable, str):
        raise ValueError(
            '`trainable` should be a list of strings, but got the string '
            f'{trainable!r}'
        )
    added = [name for name, _ in vit.named_parameters() if is_added(name)]
    select_trainable(vit, [*trainable, *added])
    # What never runs has no gradient, which distributed training rejects.
    for module in vit.unused_modules():
        module.requires_grad_(False)


def store_matrices(vit: nn.Module, dtype: torch.dtype) -> bool:
    """Store the frozen weights of linear layers and convolutions in a type.

    Autocast would round just these, to the nearest, for each product. What
    it adds or normalizes without rounding stays in float32: norms, layer
    scales, position embeddings, [CLS]; and biases, which are small.

    Args:
        vit (nn.Module): A ``PromptedBackbone`` whose parameters are frozen.
        dtype (torch.dtype): The type.

    Returns:
        bool: Whether there are such weights.
    """
    frozen = [
        module.weight
        for name, module in vit.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
        if not (is_added(name) or module.weight.requires_grad)
    ]
    for weight in frozen:
        weight.data = weight.data.to(dtype)
    return bool(frozen)


def eval_frozen(vit: nn.Module) -> None:
    """Put modules whose parameters are all frozen into eval mode.

    So dropout and stochastic depth act only in parts that train.

    Args:
        vit (nn.Module): A ``PromptedBackbone``.
    """
    modules, parameters = vit.stem()
    parameters += [p for module in modules for p in module.parameters()]
    frozen = [] if any(p.requires_grad for p in parameters) else modules
    for module in (*vit.layers, *vit.tail()):
        if not any(p.requires_grad for p in module.parameters()):
            frozen.append(module)
    for module in frozen:
        module.eval()


def warn_of_random_frozen(vit: nn.Module) -> None:
    """Warn that frozen weights are random.

    It is no error: ``load_from`` may still load them.

    Args:
        vit (nn.Module): A ``PromptedBackbone`` without weights.
    """
    if all(parameter.requires_grad for parameter in vit.parameters()):
        return
    print_log(
        'the backbone is frozen but has no pre-trained weights, so unless '
        '`load_from` loads them, prompts are tuned on random features; set '
        "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE)",
        logger='current',
        level=logging.WARNING,
    )
