"""The model that a runner trains, and what kind of model it is."""

from typing import Dict

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside a distributed wrapper."""
    return model.module if is_model_wrapper(model) else model


def is_segmentor(model: nn.Module) -> bool:
    """Return whether a model learns from annotations of pixels."""
    return hasattr(model, 'decode_head')


def classes_of_heads(model: nn.Module) -> Dict[str, int]:
    """Return the number of classes of each head that has one."""
    heads = {
        name: getattr(model, name, None)
        for name in ('head', 'decode_head', 'auxiliary_head')
    }
    if isinstance(heads['auxiliary_head'], nn.ModuleList):
        for i, head in enumerate(heads.pop('auxiliary_head')):
            heads[f'auxiliary_head.{i}'] = head
    return {
        name: head.num_classes
        for name, head in heads.items()
        if hasattr(head, 'num_classes')
    }


def guided_model_of(runner: Runner) -> nn.Module:
    """Return the unwrapped model of a runner.

    Raises:
        TypeError: If it is not a model that can be guided.
    """
    model = unwrap(runner.model)
    if not hasattr(model, 'guidance'):
        raise TypeError(
            'PromptMappingHook needs a DAVPTImageClassifier or a '
            f'DAVPTEncoderDecoder, but got {type(model).__name__}; set '
            "model.type='mmdavpt....' or remove the hook"
        )
    return model
