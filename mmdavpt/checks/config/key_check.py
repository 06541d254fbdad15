"""Whether each key of a whole config is read, and has a value of its kind."""

import inspect
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdavpt.errors import UsageError

from .config_keys import (
    accepted_keys,
    builder_keys,
    default_type,
    holder,
    is_within,
    listed_for,
    runner_keys,
    walk,
)
from .free_dicts import free_paths
from .known_keys import (
    DEFAULT_HOOKS,
    DICTS,
    EXPECTED_KEYS,
    NEED_TYPE,
    OWN_KEYS,
    SEVERAL,
    UNREGISTERED,
)
from .type_places import NAMES, is_scope, resolve_type, types_at
from .value_kinds import kind_defects, named_arguments, short


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
    if not isinstance(scope, str) or not is_scope(scope):
        yield (
            '`default_scope` should be the name of a package with '
            f"registries, such as 'mmpretrain' or 'mmseg', but is {scope!r}"
        )
        return
    known = runner_keys()
    run = {key: value for key, value in cfg.items() if key in known}
    yield from kind_defects('', run, Runner)
    run.pop('protocols', None)
    for key in DICTS & set(run):
        if not isinstance(run[key], (dict, type(None))):
            yield f'`{key}` should be a dict, but is {short(run[key])}'
    for key, value in run.items():
        if key in NEED_TYPE and not _can_be_built(key, value):
            yield f'`{key}` should be a dict with a `type`, but is ' + (
                short(value)
            )
    for key, value in (run.get('default_hooks') or {}).items():
        if value is None and key not in DEFAULT_HOOKS:
            yield (
                f'`default_hooks.{key}` should be a dict with a `type`, but '
                'is None, and there is no such hook to leave out'
            )
    yield from _unknown_names(run, scope)
    free = free_paths(run)
    for path, node in walk(run):
        if path and not is_within(path, free):
            yield from _defects_of(path, node, scope)


def _unknown_names(run: dict, scope: str) -> Iterator[str]:
    """Yield which types are named without a dict, and do not exist."""
    for path, registry in NAMES.items():
        *parents, key = path.split('.')
        node: Any = run
        for parent in parents:
            node = node.get(parent) or {}
        if not isinstance(node, dict) or key not in node:
            continue
        value = node[key]
        if not (
            resolve_type(value, scope, registry)
            if isinstance(value, str)
            else callable(value)
        ):
            yield (
                f'`{path}` should name an entry of the registry '
                f'{registry.name!r}, but is {short(value)}'
            )


def _defects_of(path: str, node: dict, scope: str) -> Iterator[str]:
    """Yield what is wrong in one dict."""
    odd = [key for key in node if not isinstance(key, (str, int))]
    if odd:
        yield f'`{path}` has {odd[0]!r} as a key, which is no name'
        return
    kind = node.get('type', default_type(path, node))
    if kind is None and _is_part(path) and not _are_schedules(path, node):
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
    targets = []
    if kind is not None and holder(path) not in UNREGISTERED:
        targets = types_at(path, node, kind, scope)
    if accepted is None and _saves_checkpoints(targets):
        # It takes anything, and fails at the first checkpoint.
        accepted = {
            name
            for target in (targets[0], CheckpointHook)
            for name in named_arguments(target)
        } | builder_keys(path)
    for key, value in node.items():
        if _is_part(f'{path}.{key}') and not _can_be_built(key, value):
            yield (
                f'`{path}.{key}` should be a dict with a `type`, but is '
                f'{short(value)}'
            )
    yield from _unknown(path, node, accepted)
    if holder(path).endswith('_dataloader'):
        targets = [DataLoader]
    if len(targets) == 1:
        yield from kind_defects(path, node, targets[0])


def _is_part(path: str) -> bool:
    """Return whether something is built from what stands at a path."""
    names = path.split('.')
    if 'custom_keys' in names:
        return False
    words = [name for name in names if not name.isdigit()]
    if words[0] in ('optim_wrapper', 'param_scheduler') and words[1:]:
        return words[-1] == 'optimizer'  # others are named by the user
    return holder(path) in NEED_TYPE or names[-2:-1] == ['default_hooks']


def _are_schedules(path: str, node: dict) -> bool:
    """Return whether a dict has those of several optimizers, by names."""
    return path == 'param_scheduler' and all(
        isinstance(value, (dict, list, tuple)) for value in node.values()
    )


def _saves_checkpoints(targets: Sequence[Any]) -> bool:
    return (
        len(targets) == 1
        and inspect.isclass(targets[0])
        and issubclass(targets[0], CheckpointHook)
    )


def _unknown(
    path: str, node: dict, accepted: set[str] | None
) -> Iterator[str]:
    expected = listed_for(path, EXPECTED_KEYS)
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


def _can_be_built(key: str, value: Any) -> bool:
    """Return whether a value is a dict, or several where there may be."""
    if isinstance(value, (list, tuple)) and key in SEVERAL:
        return all(isinstance(one, dict) for one in value)
    if key == 'collate_fn' and callable(value):
        return True
    return value is None or isinstance(value, dict)
