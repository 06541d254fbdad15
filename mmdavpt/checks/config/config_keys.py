"""Which keys a config may have: so that no key is dead and no typo silent."""

import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from .known_keys import (
    BUILDER_KEYS,
    DEFAULT_TYPES,
    PLAIN_DICTS,
    RUN_KEYS,
    UNREGISTERED,
)
from .type_places import types_at

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
        UsageError: If the registry of its place does not know the type.
    """
    name = holder(path)
    if path == '':
        return runner_keys()
    if name.endswith('_dataloader') and 'type' not in node:
        return DATALOADER_KEYS
    if path == 'optim_wrapper' and {'constructor', 'optimizer'} & set(
        node
    ) == {'constructor'}:
        return None  # several wrappers, by their names
    if 'custom_keys' in path.split('.')[:-1]:
        return None
    kind = node.get('type', default_type(path, node))
    if kind is None or name in UNREGISTERED:
        return PLAIN_DICTS.get(name)
    keys: set[str] = set()
    for target in types_at(path, node, kind, scope):
        taken = accepted_arguments(target)
        if taken is None:
            return None
        keys |= taken
    return keys | builder_keys(path)


def builder_keys(path: str) -> set[str]:
    """Return the keys that a builder takes out before it calls a type.

    Args:
        path (str): Dotted path of the dict with the type.
    """
    return listed_for(path, BUILDER_KEYS)


def listed_for(path: str, table: Mapping[str, set[str]]) -> set[str]:
    """Return what a table of keys has for a dict.

    Args:
        path (str): Dotted path of the dict.
        table (Mapping[str, Set[str]]): Keys by the name of what holds the
            dict; 'name.*' stands for every dict directly within one.
    """
    names = [name for name in path.split('.') if not name.isdigit()]
    return table.get(names[-1], set()) | (
        table.get(f'{names[-2]}.*', set()) if names[1:] else set()
    )


def is_within(path: str, parts: Iterable[str]) -> bool:
    """Return whether a dict is one of some parts of a config, or in one.

    Args:
        path (str): Dotted path of the dict.
        parts (Iterable[str]): Dotted paths of the parts.
    """
    return any(path == part or path.startswith(f'{part}.') for part in parts)


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
    if path in ('val_evaluator', 'test_evaluator') and 'metrics' in node:
        return 'Evaluator'
    return DEFAULT_TYPES.get(path)
