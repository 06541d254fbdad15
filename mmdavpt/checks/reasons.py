"""Say in one sentence where and why a part of a config cannot be built."""

import re
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Any

from mmdavpt.errors import did_you_mean

from .introspection import arguments_of, find_types


def describe(
    error: Exception, nodes: Sequence[tuple[str, dict]], path: str = ''
) -> str:
    """Return where in a config an error comes from, and its reason.

    Args:
        error (Exception): The error.
        nodes (Sequence[tuple[str, dict]]): The dicts of the config by path.
        path (str): The path of the part that was being built, if known.
            Defaults to ''.
    """
    target = registry = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == 'build_from_cfg':
            path = path_of(frame.f_locals.get('cfg'), nodes) or path
            target = frame.f_locals.get('obj_cls')
            registry = frame.f_locals.get('registry')
    refused = re.search(
        r"(\w+)\.__init__\(\) got an unexpected .* '(\w+)'", str(error)
    )
    if refused:
        called = _called(refused[1], frame)
        if called not in getattr(target, '__mro__', ()):
            # Not by a registry: the target passes a dict of its own on.
            target, path = called, _path_with(refused[2], path, nodes)
    if target is None and registry is None and path:
        for place, node in nodes:
            inside = f'{place}.'.startswith(f'{path}.')
            if inside and not find_types(node.get('type', dict)):
                return f'`{place}.type`: {node["type"]!r} is not registered'
    return (f'`{path}`: ' if path else '') + _reason(error, target, registry)


def path_of(node: Any, nodes: Sequence[tuple[str, dict]]) -> str | None:
    """Return the path of a dict of a config, or of a copy of it.

    Args:
        node (Any): The dict.
        nodes (Sequence[tuple[str, dict]]): See :func:`describe`.
    """
    for path, own in nodes:
        if own is node:
            return path
    if isinstance(node, dict):
        for path, own in nodes:
            # A copy, perhaps with some defaults.
            if own and path and all(node.get(k) == v for k, v in own.items()):
                return path
    return None


def _reason(error: Exception, target: Any, registry: Any) -> str:
    """Return why the call of a registered target failed."""
    text = ' '.join(str(error).split())
    if found := re.search(r"unexpected keyword argument '(\w+)'", text):
        names = arguments_of(target)[0] if callable(target) else set()
        if names:
            hint = did_you_mean(found[1], names)
            hint = hint or f'; it has {", ".join(sorted(names))}'
            name = getattr(target, '__name__', target)
            return f'{name} has no argument {found[1]!r}{hint}'
    if found := re.match(r"['\"]?(\S+) is not in the (.+?) registry", text):
        names = {*registry.module_dict, *registry.root.module_dict}
        hint = did_you_mean(found[1], names)
        return f'{found[1]!r} is not in the registry {found[2]}{hint}'
    if 'must contain the key "type"' in text:
        return 'it has no `type`'
    if isinstance(error, KeyError):
        return f'the key {text} is missing or unknown'
    if text:
        known = isinstance(error, ValueError)
        return text if known else f'{text} ({type(error).__name__})'
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f'`{place.line}` fails in {place.name} ({type(error).__name__})'


def _called(name: str, frame: FrameType) -> Any:
    """Return the class of a name that a frame called; None if unknown."""
    known = [*frame.f_locals.values(), frame.f_globals.get(name)]
    found = (c for c in known if getattr(c, '__name__', None) == name)
    return next(found, None)


def _path_with(key: str, path: str, nodes: Sequence[tuple[str, dict]]) -> str:
    """Return the path of the first dict below a path that has a key."""
    inside = (p for p, n in nodes if p.startswith(f'{path}.') and key in n)
    return next(inside, path)
