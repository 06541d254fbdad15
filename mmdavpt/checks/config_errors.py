"""Sentences for parts of a config that cannot be built."""

import re
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any

from mmdavpt.errors import did_you_mean

from .introspection import arguments_of, find_types, walk


def describe(error: Exception, cfg: dict) -> str:
    """Return where in a config an error comes from, and its reason.

    Args:
        error (Exception): The error.
        cfg (dict): The merged config.
    """
    nodes, path = list(walk(cfg)), ''
    target = registry = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        values = frame.f_locals
        if frame.f_code.co_name.startswith('build_'):
            node = next((v for k, v in values.items() if k != 'self'), None)
            path = path_of(node, nodes) or path
        if frame.f_code.co_name == 'build_from_cfg':
            target, registry = values.get('obj_cls'), values.get('registry')
    if found := re.search(r"(\w+)\.__init__\(\) got .* '(\w+)'", str(error)):
        known = [*values.values(), frame.f_globals.get(found[1])]
        called = [c for c in known if getattr(c, '__name__', '') == found[1]]
        if called and called[0] not in getattr(target, '__mro__', ()):
            # Not called by a registry: the target passes on a dict of its own.
            below = [p for p, n in nodes if path in p and found[2] in n]
            target, path = called[0], (below or [path])[0]
    for place, node in nodes if path and registry is None else ():
        if f'{place}.'.startswith(f'{path}.') and 'type' in node:
            if not find_types(node['type']):
                return f'`{place}.type`: {node["type"]!r} is not registered'
    return (f'`{path}`: ' if path else '') + _reason(error, target, registry)


def path_of(node: Any, nodes: Sequence[tuple[str, dict]]) -> str | None:
    """Return the path of a dict in a config, or of the dict it is a copy of.

    Args:
        node (Any): The dict. A copy may have some defaults added.
        nodes (Sequence[tuple[str, dict]]): The dicts of the config by path.
    """
    paths = [path for path, own in nodes if own is node]
    for path, own in nodes if isinstance(node, dict) else ():
        if own and path and all(node.get(k) == v for k, v in own.items()):
            paths.append(path)
    return paths[0] if paths else None


def _reason(error: Exception, target: Any, registry: Any) -> str:
    """Return why the call of a registered target failed."""
    text = ' '.join(str(error).split())
    if found := re.search(r"unexpected keyword argument '(\w+)'", text):
        names = arguments_of(target)[0] if callable(target) else set()
        if names:
            others = f'; it has {", ".join(sorted(names))}'
            hint = did_you_mean(found[1], names) or others
            name = getattr(target, '__name__', target)
            return f'{name} has no argument {found[1]!r}{hint}'
    if found := re.match(r"['\"]?(\S+) is not in the (.+?) registry", text):
        names = {*registry.module_dict, *registry.root.module_dict}
        hint = did_you_mean(found[1], names)
        return f'{found[1]!r} is not in the registry {found[2]}{hint}'
    if isinstance(error, ImportError) and (advice := missing_package(error)):
        return advice
    if 'must contain the key "type"' in text:
        return 'it has no `type`'
    if isinstance(error, KeyError):
        return f'the key {text} is missing or unknown'
    if text and isinstance(error, ValueError):
        return text
    if text:
        return f'{text} ({type(error).__name__})'
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f'`{place.line}` fails in {place.name} ({type(error).__name__})'


def missing_package(error: BaseException) -> str | None:
    """Return which package an import needs, and how to install it.

    Args:
        error (BaseException): An error, perhaps raised because of another.

    Returns:
        str | None: One sentence; None if no extra of this package has it.
    """
    while error and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    name = (getattr(error, 'name', None) or '').partition('.')[0]
    with suppress(metadata.PackageNotFoundError):  # run from its source
        for line in metadata.requires('mmdavpt') or ():
            found = re.match(rf'{name}\b.*\bextra == .(\w+)', line)
            if name and found:
                return (
                    f'the package {name!r} is missing; '
                    f'install it with `pip install "mmdavpt[{found[1]}]"`'
                )
    return None
