"""Which keys a config may have: so that no key is dead and no typo silent."""

import functools
import inspect
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmdavpt.errors import UsageError

#: Top-level keys that a run reads besides the arguments of ``Runner``.
RUN_KEYS = {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'default_scope',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'launcher',
    'load_allowed',
    'model_wrapper_cfg',
    'protocol',
    'protocols',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}

#: What is read from dicts that have no ``type``, by the key that holds them.
PLAIN_DICTS = {
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'randomness': {'seed', 'diff_rank_seed', 'deterministic'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'paramwise_cfg': {
        'bias_lr_mult',
        'bias_decay_mult',
        'norm_decay_mult',
        'flat_decay_mult',
        'dwconv_decay_mult',
        'dcn_offset_lr_mult',
        'bypass_duplicate',
        'custom_keys',
    },
    'test_cfg': {
        'mode',
        'crop_size',
        'stride',
        'window_batch',
        'size',
        'size_divisor',
    },
    'mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'clip_grad': {
        'type',
        'max_norm',
        'norm_type',
        'error_if_nonfinite',
        'foreach',
        'clip_value',
    },
    'train_cfg': {'augments', 'probs'},
    'arch': {'embed_dims', 'num_layers', 'num_heads', 'feedforward_channels'},
}

#: Dicts with a ``type`` that is no name of a registry.
UNREGISTERED = {'clip_grad'}

#: What is read from each dict that one of these holds, by names of any kind.
NAMED_DICTS = {'custom_keys': {'lr_mult', 'decay_mult'}}

#: Types of dicts that may go without, by their path.
DEFAULT_TYPES = {
    'val_cfg': 'ValLoop',
    'test_cfg': 'TestLoop',
    'optim_wrapper': 'OptimWrapper',
    'log_processor': 'LogProcessor',
    'data_preprocessor': 'mmpretrain.ClsDataPreprocessor',
    'model.data_preprocessor': 'mmpretrain.ClsDataPreprocessor',
    'model.guidance': 'mmdavpt.models.PromptGuidance',
    'tta_model': 'mmpretrain.AverageClsScoreTTA',
}

#: Keys that a builder takes out before it calls the type.
BUILDER_KEYS = {
    'optim_wrapper': {'optimizer', 'paramwise_cfg', 'constructor'},
    'param_scheduler': {'convert_to_iter_based'},
    'train_cfg': {'by_epoch'},
    'norm_cfg': {'requires_grad'},
    'norm_layer': {'requires_grad'},
    'guidance': {'guided_layers'},
    'init_cfg': {'allow_pickle'},  # taken by the backbone's strict loading
    'checkpoint': {'tuned_only'},  # the runner has its own hook for these
}

DATALOADER_KEYS = set(inspect.signature(DataLoader).parameters) | {
    'num_batch_per_epoch',
    'disable_subprocess_warning',
}


def runner_keys() -> set[str]:
    """Return the top-level keys that have an effect on a run."""
    return (
        set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
    ) | RUN_KEYS


@functools.lru_cache(maxsize=512)
def accepted_arguments(target: Any) -> set[str] | None:
    """Return the names of keyword arguments that a class or function takes.

    ``**kwargs`` of a constructor are followed to the next class that has one.

    Args:
        target (type | Callable): What a config's ``type`` stands for.

    Returns:
        Set[str] | None: The names; None if every name is taken.
    """
    if not inspect.isclass(target):
        functions = [target]
    else:
        functions = [
            vars(cls)['__init__']
            for cls in target.__mro__
            if '__init__' in vars(cls) and cls is not object
        ]
    names: set[str] = set()
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        names |= {
            p.name
            for p in parameters
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        }
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return names - {'self'}
    if functions and not (
        inspect.isclass(target) and issubclass(target, nn.Module)
    ):
        return None
    return names - {'self'}


def resolve_type(name: Any, scope: str) -> list[Any]:
    """Return what a config's ``type`` may stand for.

    Args:
        name (str | type): The value of ``type``.
        scope (str): The default scope of the config.

    Returns:
        list: One entry for each registry that knows the name.
    """
    if not isinstance(name, str):
        return [name]
    with suppress(ModuleNotFoundError):  # scopes of user packages
        import_module(f'{scope}.registry')
    found = []
    for root in vars(mmengine_registry).values():
        if isinstance(root, Registry):
            known = _look_up(root.children.get(scope, root), name)
            if callable(known) and known not in found:
                found.append(known)
    return found


def _look_up(registry: Registry, name: str) -> Any:
    """Return the entry of a registry, or None if it has none."""
    try:
        return registry.get(name)
    except RuntimeError:  # what `Registry.get` raises for an unknown name
        return None


def walk(node: Any, path: str = '') -> Iterator[tuple[str, dict]]:
    """Yield every dict of a config with its dotted path.

    Args:
        node (dict | list | Any): The config, or a part of it.
        path (str): The path of that part. Defaults to ''.

    Yields:
        Tuple[str, dict]: Path and dict, outermost first.
    """
    if isinstance(node, dict):
        yield path, node
        children = node.items()
    elif isinstance(node, (list, tuple)):
        children = enumerate(node)
    else:
        return
    for key, child in children:
        yield from walk(child, f'{path}.{key}' if path else str(key))


def holder(path: str) -> str:
    """Return the last key of a path that is no list index."""
    names = [name for name in path.split('.') if not name.isdigit()]
    return names[-1] if names else ''


def accepted_keys(path: str, node: dict, scope: str) -> set[str] | None:
    """Return the keys that have a meaning in one dict of a config.

    Args:
        path (str): Dotted path of the dict, '' for the config itself.
        node (dict): The dict.
        scope (str): The default scope of the config.

    Returns:
        Set[str] | None: The keys, without the builder's own ``type``,
        ``_scope_`` and ``_delete_``; None for a free dict, whose keys are
        names that the user chooses.

    Raises:
        UsageError: If no registry knows the dict's type.
    """
    name = holder(path)
    if path == '':
        return runner_keys()
    if name.endswith('_dataloader') and 'type' not in node:
        return DATALOADER_KEYS
    above = path.split('.')[-2:-1]
    if above and above[0] in NAMED_DICTS:
        return NAMED_DICTS[above[0]]
    kind = node.get('type', default_type(path, node))
    if kind is None or name in UNREGISTERED:
        return PLAIN_DICTS.get(name)
    if not isinstance(kind, str) and not callable(kind):
        raise UsageError(f'`{path}.type` should be a name, but is {kind!r}')
    targets = resolve_type(kind, scope)
    if not targets:
        raise UsageError(
            f'`{path}.type` is {kind!r}, which no registry of '
            f'the scope {scope!r} knows'
        )
    keys: set[str] = set()
    for target in targets:
        taken = accepted_arguments(target)
        if taken is None:
            return None
        keys |= taken
    return keys | BUILDER_KEYS.get(name, set())


def default_type(path: str, node: dict) -> str | None:
    """Return the type that a builder takes for a dict that has none.

    Args:
        path (str): Dotted path of the dict.
        node (dict): The dict.

    Returns:
        str | None: The name; None if the builder has no default.
    """
    if path == 'train_cfg':
        return (
            'EpochBasedTrainLoop'
            if node.get('by_epoch', True)
            else 'IterBasedTrainLoop'
        )
    return DEFAULT_TYPES.get(path)
