"""Whether each key of a whole config is read, and has a value of its kind."""

import functools
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any

import numpy as np
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdavpt.errors import UsageError

from .config_keys import (
    BUILDER_KEYS,
    accepted_keys,
    default_type,
    holder,
    resolve_type,
    runner_keys,
    walk,
)

#: What builders and the config's own machinery take out of a dict.
OWN_KEYS = {'type', '_scope_', '_delete_'}

#: Dicts that cannot be built without a ``type``, by the key that holds them.
NEED_TYPE = {
    'auxiliary_head',
    'backbone',
    'batch_sampler',
    'custom_hooks',
    'dataset',
    'datasets',
    'decode_head',
    'head',
    'loss',
    'loss_decode',
    'model',
    'neck',
    'optimizer',
    'param_scheduler',
    'pipeline',
    'sampler',
    'test_evaluator',
    'tta_pipeline',
    'val_evaluator',
    'vis_backends',
}

#: Top-level keys that are dicts, mostly with a ``type``.
DICTS = {
    'data_preprocessor',
    'default_hooks',
    'env_cfg',
    'log_processor',
    'model_wrapper_cfg',
    'optim_wrapper',
    'randomness',
    'test_cfg',
    'test_dataloader',
    'train_cfg',
    'train_dataloader',
    'val_cfg',
    'val_dataloader',
    'visualizer',
}

#: Parts that may be lists, also of lists.
SEVERAL = {
    'auxiliary_head',
    'custom_hooks',
    'datasets',
    'decode_head',
    'loss',
    'loss_decode',
    'param_scheduler',
    'pipeline',
    'test_evaluator',
    'tta_pipeline',
    'val_evaluator',
    'vis_backends',
}

#: Arguments that the hosts annotate otherwise than they use them.
WRONG_HINTS = {'vis_backends'}

#: Free dicts of which some keys are known: one near to those is misspelt.
EXPECTED_KEYS = {
    'default_hooks': {
        'checkpoint',
        'early_stopping',
        'logger',
        'param_scheduler',
        'runtime_info',
        'sampler_seed',
        'timer',
        'visualization',
    },
    'data_prefix': {'img_path', 'seg_map_path'},
    'metainfo': {'classes', 'palette'},
}


def check_keys(cfg: dict) -> None:
    """Raise if a key below the top of a config changes nothing, or cannot be.

    Args:
        cfg (dict): The merged config, with plain values.

    Raises:
        UsageError: If a key is unknown, or its value of another kind than
            the code that reads it says, or if a type is unknown or missing.
    """
    for sentence in key_defects(cfg):
        raise UsageError(f'the config cannot be run: {sentence}')


def key_defects(cfg: dict) -> Iterator[str]:
    """Yield what :func:`check_keys` refuses, one sentence each.

    Args:
        cfg (dict): The merged config, with plain values.
    """
    scope = cfg.get('default_scope', 'mmengine')
    if not isinstance(scope, str):
        yield f'`default_scope` should be a name, but is {scope!r}'
        return
    known = runner_keys()
    run = {key: value for key, value in cfg.items() if key in known}
    yield from _kinds('', run, _hints(Runner))
    run.pop('protocols', None)
    for key in DICTS & set(run):
        if not isinstance(run[key], (dict, type(None))):
            yield f'`{key}` should be a dict, but is {_short(run[key])}'
    for key, value in run.items():
        if key in NEED_TYPE and not _can_be_built(key, value):
            yield f'`{key}` should be a dict with a `type`, but is ' + (
                _short(value)
            )
    for path, node in walk(run):
        if path and not _is_free(path):
            yield from _defects_of(path, node, scope)


def _is_free(path: str) -> bool:
    """Return whether a dict is a value of its own and no part of a run."""
    return path.split('.')[0] == 'env_cfg' and holder(path) == 'dist_cfg'


def _defects_of(path: str, node: dict, scope: str) -> Iterator[str]:
    """Yield what is wrong in one dict."""
    odd = [key for key in node if not isinstance(key, (str, int))]
    if odd:
        yield f'`{path}` has {odd[0]!r} as a key, which is no name'
        return
    kind = node.get('type', default_type(path, node))
    if kind is None and _is_part(path):
        yield (
            f'`{path}` should have a `type`, but has only '
            f'{", ".join(f"`{key}`" for key in node) or "no keys"}'
        )
        return
    try:
        accepted = accepted_keys(path, node, scope)
    except UsageError as error:
        yield str(error)
        return
    targets = [] if kind is None else resolve_type(kind, scope)
    if accepted is None and _saves_checkpoints(targets):
        # It takes anything, and fails at the first checkpoint.
        accepted = {
            name
            for target in (targets[0], CheckpointHook)
            for name in _named_arguments(target)
        } | BUILDER_KEYS['checkpoint']
    for key, value in node.items():
        if _is_part(f'{path}.{key}') and not _can_be_built(key, value):
            yield (
                f'`{path}.{key}` should be a dict with a `type`, but is '
                f'{_short(value)}'
            )
    yield from _unknown(path, node, accepted)
    if holder(path).endswith('_dataloader'):
        targets = [DataLoader]
    if len(targets) == 1:
        yield from _kinds(path, node, _hints(targets[0]))


def _is_part(path: str) -> bool:
    """Return whether something is built from what stands at a path."""
    names = path.split('.')
    if 'custom_keys' in names:
        return False
    return holder(path) in NEED_TYPE or names[-2:-1] == ['default_hooks']


def _saves_checkpoints(targets: Sequence[Any]) -> bool:
    return (
        len(targets) == 1
        and inspect.isclass(targets[0])
        and issubclass(targets[0], CheckpointHook)
    )


def _named_arguments(target: Any) -> Iterator[str]:
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        ):
            yield name


def _unknown(
    path: str, node: dict, accepted: set[str] | None
) -> Iterator[str]:
    expected = EXPECTED_KEYS.get(holder(path), set())
    for key in node:
        if accepted is None:
            near = get_close_matches(str(key), expected, n=1, cutoff=0.75)
            if near and key not in expected:
                yield f'`{path}` has `{key}`; did you mean `{near[0]}`?'
        elif key not in accepted | OWN_KEYS:
            near = get_close_matches(str(key), accepted, n=2)
            yield f'`{path}` has no key `{key}`; ' + (
                f'did you mean {" or ".join(f"`{name}`" for name in near)}?'
                if near
                else 'it takes '
                + ', '.join(f'`{name}`' for name in sorted(accepted))
            )


@functools.lru_cache(maxsize=512)
def _hints(target: Any) -> dict[str, tuple[Any, Any]]:
    """Return the annotation and the default of each argument that has one."""
    functions = [target]
    if inspect.isclass(target):
        functions = [
            vars(cls)['__init__']
            for cls in reversed(target.__mro__)
            if inspect.isfunction(vars(cls).get('__init__'))
        ]
    found: dict[str, tuple[Any, Any]] = {}
    for function in functions:
        try:
            hints = typing.get_type_hints(function)
        except (NameError, TypeError, AttributeError):
            continue  # names that exist for type checkers only
        parameters = inspect.signature(function).parameters
        for name in _named_arguments(function):
            found.pop(name, None)
            if name in hints:
                found[name] = (hints[name], parameters[name].default)
    return found


def _kinds(
    path: str, node: dict, hints: dict[str, tuple[Any, Any]]
) -> Iterator[str]:
    for key, value in node.items():
        if key in hints and key not in OWN_KEYS | WRONG_HINTS:
            hint, default = hints[key]
            if not fits(value, hint) and value is not default:
                yield (
                    f'`{path + "." if path else ""}{key}` should be '
                    f'{_name(hint)}, but is {_short(value)}'
                )


def _can_be_built(key: str, value: Any) -> bool:
    """Return whether a value is a dict, or several where there may be."""
    if isinstance(value, (list, tuple)) and key in SEVERAL:
        return all(_can_be_built(key, one) for one in value)
    return value is None or isinstance(value, dict)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 80 else shown[:77] + '...'


def fits(value: Any, hint: Any) -> bool:
    """Return whether a config's value is of the kind of an annotation.

    Args:
        value (Any): The value.
        hint (Any): What the signature says. What no config can hold, such
            as a module, is taken for anything.
    """
    origin = typing.get_origin(hint) or hint
    if origin in (typing.Union, UnionType):
        return any(fits(value, part) for part in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin in (None, type(None)):
        return value is None
    if not inspect.isclass(origin) or origin is object:
        return True
    plain = (bool, int, float, str, list, tuple, dict, type(None))
    if issubclass(origin, bool):
        return isinstance(value, (bool, int, np.bool_))
    if issubclass(origin, int):
        return isinstance(value, (int, np.integer))
    if issubclass(origin, float):
        return isinstance(value, (int, float, np.number))
    if issubclass(origin, str):
        return isinstance(value, str)
    if origin in (list, tuple, Sequence):
        return not isinstance(value, plain) or isinstance(value, (list, tuple))
    if origin in (dict, Mapping):
        return not isinstance(value, plain) or isinstance(value, dict)
    # Of a class of the hosts: builders make it from a dict or a name.
    return isinstance(value, origin) or not isinstance(value, (int, float))


def _name(hint: Any) -> str:
    """Return an annotation in words: 'int or None'."""
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return ' or '.join(_name(part) for part in typing.get_args(hint))
    if hint is type(None):
        return 'None'
    origin = typing.get_origin(hint) or hint
    return getattr(origin, '__name__', str(hint))
