"""Which registry the types of a config are built from, by their place."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    EVALUATOR,
    FUNCTIONS,
    HOOKS,
    LOG_PROCESSORS,
    LOOPS,
    METRICS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    RUNNERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    WEIGHT_INITIALIZERS,
    Registry,
)

from mmdavpt.errors import UsageError

#: By the path without indices; '*' stands for a name that the user chooses.
PATHS = {
    'custom_hooks': HOOKS,
    'data_preprocessor': MODELS,
    'default_hooks.*': HOOKS,
    'log_processor': LOG_PROCESSORS,
    'model': MODELS,
    'model_wrapper_cfg': MODEL_WRAPPERS,
    'optim_wrapper': OPTIM_WRAPPERS,
    'param_scheduler': PARAM_SCHEDULERS,
    'param_scheduler.*': PARAM_SCHEDULERS,
    'test_cfg': LOOPS,
    'test_evaluator': METRICS,
    'test_evaluator.metrics': METRICS,
    'train_cfg': LOOPS,
    'tta_model': MODELS,
    'tta_pipeline': TRANSFORMS,
    'val_cfg': LOOPS,
    'val_evaluator': METRICS,
    'val_evaluator.metrics': METRICS,
    'visualizer': VISUALIZERS,
    'visualizer.vis_backends': VISBACKENDS,
}

#: By the key that holds the dict, within one part of a config.
HELD_IN = {
    'loader': {
        'batch_sampler': DATA_SAMPLERS,
        'collate_fn': FUNCTIONS,
        'dataset': DATASETS,
        'datasets': DATASETS,
        'pipeline': TRANSFORMS,
        'sampler': DATA_SAMPLERS,
        'worker_init_fn': FUNCTIONS,
    },
    'model': {
        'auxiliary_head': MODELS,
        'backbone': MODELS,
        'data_preprocessor': MODELS,
        'decode_head': MODELS,
        'guidance': MODELS,
        'head': MODELS,
        'init_cfg': WEIGHT_INITIALIZERS,
        'loss': MODELS,
        'loss_decode': MODELS,
        'neck': MODELS,
    },
    'optim_wrapper': {'optimizer': OPTIMIZERS},
}

#: Keys of which the value itself is the name of a type.
NAMES = {
    'optim_wrapper.constructor': OPTIM_WRAPPER_CONSTRUCTORS,
    'runner_type': RUNNERS,
}


def registry_at(path: str, node: dict) -> Registry | None:
    """Return the registry that the type of a dict is looked up in.

    Args:
        path (str): Dotted path of the dict in the config.
        node (dict): The dict.

    Returns:
        Registry | None: The root registry; None where that is for the code
        that reads the dict to know.
    """
    words = [word for word in path.split('.') if not word.isdigit()]
    place = '.'.join(words)
    if place in ('val_evaluator', 'test_evaluator') and 'metrics' in node:
        return EVALUATOR
    if len(words) == 2 and f'{words[0]}.*' in PATHS:
        return PATHS[f'{words[0]}.*']
    part = 'loader' if words[0].endswith('_dataloader') else words[0]
    if words[1:] and words[-1] in HELD_IN.get(part, {}):
        return HELD_IN[part][words[-1]]
    return PATHS.get(place)


def is_scope(name: str) -> bool:
    """Return whether registries know a scope, such as 'mmpretrain'.

    Args:
        name (str): The name of a package with registries.
    """
    return name == HOOKS.scope or any(
        name in registry.children for registry in _registries(name)
    )


def resolve_type(
    name: Any, scope: str, registry: Registry | None = None
) -> list[Any]:
    """Return what a config's ``type`` may stand for.

    Args:
        name (str | type): The value of ``type``.
        scope (str): The default scope of the config.
        registry (Registry, optional): The root registry that knows it.
            Defaults to None, any.

    Returns:
        list: One entry for each registry that knows the name.
    """
    if not isinstance(name, str):
        return [name]
    registries = list(_registries(scope))  # which makes a scope known
    found: list[Any] = []
    for one in registries if registry is None else [registry]:
        known = _look_up(one.children.get(scope, one), name)
        if callable(known) and known not in found:
            found.append(known)
    return found


def types_at(path: str, node: dict, kind: Any, scope: str) -> list[Any]:
    """Return what the type of one dict of a config may stand for.

    Args:
        path (str): Dotted path of the dict.
        node (dict): The dict.
        kind (Any): Its type, which may be a default.
        scope (str): The default scope of the config.

    Returns:
        list: See :func:`resolve_type`; at least one entry.

    Raises:
        UsageError: If it is no name, or if the registry that such a part is
            built from does not have it.
    """
    if not isinstance(kind, str) and not callable(kind):
        raise UsageError(f'`{path}.type` should be a name, but is {kind!r}')
    registry = registry_at(path, node)
    found = resolve_type(kind, scope, registry)
    if found:
        return found
    for other in _registries(scope):
        if _look_up(other.children.get(scope, other), kind) is not None:
            raise UsageError(
                f'`{path}.type` should name an entry of the registry '
                f'{registry.name!r}, but {kind!r} is one of the registry '
                f'{other.name!r}'
            )
    raise UsageError(
        f'`{path}.type` is {kind!r}, which no registry of the scope '
        f'{scope!r} knows'
    )


def _registries(scope: str) -> Iterator[Registry]:
    """Yield mmengine's registries, and those of a scope that have no parent.

    Args:
        scope (str): The default scope of a config.
    """
    own: Iterable[Any] = ()
    if all(map(str.isidentifier, str(scope).split('.'))):
        with suppress(ModuleNotFoundError):  # scopes of user packages
            own = vars(import_module(f'{scope}.registry')).values()
    for value in vars(mmengine_registry).values():
        if isinstance(value, Registry):
            yield value
    for value in own:
        if isinstance(value, Registry) and value.parent is None:
            yield value


def _look_up(registry: Registry, name: str) -> Any:
    """Return the entry of a registry, or None if it has none."""
    try:
        return registry.get(name)
    except RuntimeError:  # what `Registry.get` raises for an unknown name
        return None
