"""The model that a runner trains, and what kind of model it is."""

from mmengine.runner import Runner
from torch import nn

from mmdavpt.unwrap import unwrap


def is_segmentor(model: nn.Module) -> bool:
    """Return whether a model learns from annotations of pixels."""
    return hasattr(model, 'decode_head')


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
