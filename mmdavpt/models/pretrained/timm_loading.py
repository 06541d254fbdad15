"""Load weights strictly into a model of timm."""

import inspect
import sys

from torch import Tensor, nn

from mmdavpt.checkpoints.fit import compare_weights, describe_mismatch
from mmdavpt.errors import UsageError, prefix_errors

from .families import Normalization, Weights, normalization_of
from .load import both_shapes, check_values, load_and_log
from .reading import read_checkpoint
from .transformers_names import from_transformers, is_of_transformers


def load_into_timm(
    vit: nn.Module,
    name: str,
    checkpoint: str,
    prefix: str | None = None,
    allow_pickle: bool = False,
) -> Normalization | None:
    """Load a checkpoint completely into a model of timm, or raise an error.

    timm itself renames what the original authors published, and resizes
    position embeddings and patches. Names of Hugging Face transformers are
    translated here.

    Args:
        vit (nn.Module): timm's model, without classifier.
        name (str): Its name in timm, for messages.
        checkpoint (str): See :func:`.read_checkpoint`.
        prefix (str, optional): Prefix of the model's keys. Defaults to None:
            that of this package's checkpoints, if any.
        allow_pickle (bool): See :func:`.read_checkpoint`. Defaults to False.

    Returns:
        Normalization | None: Image normalization of the weights: declared by
        the file, or else by timm for this name.

    Raises:
        FileNotFoundError: If the file does not exist.
        UsageError: If it cannot be read, belongs to another architecture, or
            if weights are missing, unexpected or have another shape.
    """
    read = read_checkpoint(checkpoint, allow_pickle)
    where = f'{checkpoint} does not fit the model {name}'
    with prefix_errors(where, UsageError):
        _check_architecture(vit, read.model)
        named = _renamed(_without_prefix(read.weights, prefix), vit).items()
        # Without the classifier.
        weights = {k: v for k, v in named if not k.startswith('head.')}
        check_values(weights)
        target = vit.state_dict()
        missing, unexpected, other = compare_weights(target, weights)
        shapes = both_shapes(target, weights, other)
        if problems := describe_mismatch((missing, unexpected, shapes)):
            raise UsageError(f'it {problems}')
    declared = normalization_of(vit.pretrained_cfg, f'timm ({name})')
    normalization = read.normalization or declared
    load_and_log(vit, weights, f'of {name} from {checkpoint}', normalization)
    return normalization


def _check_architecture(vit: nn.Module, declared: nn.Module | None) -> None:
    """Refuse weights whose ``config.json`` names another architecture."""
    if declared is None:
        return
    theirs = declared.pretrained_cfg.get('architecture')
    if vit.pretrained_cfg.get('architecture') != theirs:
        advice = f'set model_name={theirs!r}'
        raise UsageError(f'the weights belong to {theirs}; {advice}')


def _without_prefix(weights: Weights, prefix: str | None) -> dict[str, Tensor]:
    if prefix is None:
        own = ('backbone.vit.', 'vit.')
        found = (p for p in own if any(k.startswith(p) for k in weights))
        prefix = next(found, '')
    names = [name for name in weights if name.startswith(prefix)]
    return {name.removeprefix(prefix): weights[name] for name in names}


def _renamed(weights: Weights, vit: nn.Module) -> dict[str, Tensor]:
    """Return the weights with timm's names and the model's sizes."""
    if is_of_transformers(weights):
        weights = from_transformers(weights, vit)
    rename = sys.modules[type(vit).__module__].checkpoint_filter_fn
    options = {}
    if 'adapt_layer_scale' in inspect.signature(rename).parameters:
        options['adapt_layer_scale'] = True  # names of DeiT-III's authors
    return rename(weights, vit, **options)
