"""What code reads: arguments of constructors and keys of plain dicts.

Everything here comes from signatures, registries and source files, so that
no table has to follow the libraries.
"""

import dis
import functools
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import DefaultScope, Registry


def walk(node: Any, path: str = '') -> Iterator[tuple[str, dict]]:
    """Yield every dict of a config with its dotted path, outermost first.

    Args:
        node (Any): The config, or a part of it.
        path (str): The path of that part. Defaults to ''.
    """
    if isinstance(node, Mapping):
        yield path, node
        children = node.items()
    elif isinstance(node, (list, tuple)):
        children = enumerate(node)
    else:
        return
    for key, child in children:
        yield from walk(child, f'{path}.{key}' if path else str(key))


def find_types(name: Any, scope: str | None = None) -> list[Any]:
    """Return what a config's ``type`` may stand for, in any registry.

    Args:
        name (str | type): The value of ``type``.
        scope (str, optional): The scope of the config. Defaults to None: the
            current one.
    """
    if scope is None:
        current = DefaultScope.get_current_instance()
        scope = current.scope_name if current else 'mmengine'
    if not isinstance(name, str):
        return [name]
    return _registered(name, scope)


@functools.lru_cache(maxsize=512)
def _registered(name: str, scope: str) -> list[Any]:
    found = []
    for registry in vars(mmengine_registry).values():
        if isinstance(registry, Registry):
            with suppress(ImportError, RuntimeError):  # unknown names
                entry = registry.children.get(scope, registry).get(name)
                if entry is not None and entry not in found:
                    found.append(entry)
    return found


def constructors(target: Any) -> Iterator[Any]:
    """Yield the functions that arguments of a class or function reach.

    ``**kwargs`` are followed to the next class that has a constructor.
    """
    if not inspect.isclass(target):
        yield target
        return
    for cls in target.__mro__[:-1]:
        if '__init__' in vars(cls):
            yield vars(cls)['__init__']
            if not _kwargs_name(vars(cls)['__init__']):
                return


def argument_names(target: Any) -> set[str]:
    """Return the names of the arguments that a class or function takes."""
    return {
        parameter.name
        for function in constructors(target)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind
        in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    } - {'self'}


def ignores_unknown_arguments(target: Any) -> bool:
    """Return whether ``**kwargs`` of a constructor are never read."""
    for function in constructors(target):
        name = _kwargs_name(function)
        code = getattr(function, '__code__', None)
        if name and code and not _loads(code, name):
            return True
    return False


def _kwargs_name(function: Any) -> str | None:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            return parameter.name
    return None


def _loads(code: Any, name: str) -> bool:
    return any(
        step.opname.startswith('LOAD_') and step.argval == name
        for step in dis.get_instructions(code)
    )


@functools.lru_cache(maxsize=1024)
def _keys_in_file(path: str, name: str) -> frozenset[str]:
    text = Path(path).read_text(encoding='utf-8')
    found = re.findall(
        rf"""\b{name}(?:\.(?:get|pop|setdefault)\(|\[)\s*['"](\w+)"""
        rf"""|\b{name}\.(\w+)"""
        rf"""|['"](\w+)['"]\s+(?:not\s+)?in\s+(?:\w+\.)*{name}\b""",
        text,
    )
    return frozenset(key for keys in found for key in keys if key)


def keys_read(readers: Iterable[type | str], name: str) -> set[str]:
    """Return the keys that code reads from a dict by the dict's name.

    Args:
        readers (Iterable[type | str]): Classes, whose modules and those of
            their parents are searched, and prefixes of imported modules.
        name (str): The name of the dict in that code, such as 'env_cfg'.

    Returns:
        set[str]: The keys; also the names of methods called on the dict.
    """
    modules = set()
    for reader in readers:
        if isinstance(reader, str):
            modules |= {m for m in [*sys.modules] if m.startswith(reader)}
        elif inspect.isclass(reader):
            modules |= {cls.__module__ for cls in reader.__mro__}
    files = {getattr(sys.modules.get(m), '__file__', None) for m in modules}
    return set().union(
        *(
            _keys_in_file(file, name)
            for file in files
            if file and file.endswith('.py')
        )
    )
