"""Find what code reads: arguments of constructors and keys of plain dicts.

Everything here comes from signatures, registries and source files, so no table
can become outdated.
"""

import dis
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
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
    else:
        children = enumerate(node if isinstance(node, (list, tuple)) else ())
    for key, child in children:
        yield from walk(child, f'{path}.{key}' if path else str(key))


def find_types(name: Any) -> list[Any]:
    """Return the classes that a ``type`` may name in its registries.

    Args:
        name (str | type, optional): The value of ``type``; None has none.
    """
    if not isinstance(name, str):
        return [] if name is None else [name]
    current, found = DefaultScope.get_current_instance(), []
    for registry in vars(mmengine_registry).values():
        if isinstance(registry, Registry):
            scope = current.scope_name if current else 'mmengine'
            with suppress(ImportError, RuntimeError):  # unknown names
                found.append(registry.children.get(scope, registry).get(name))
    return [*dict.fromkeys(entry for entry in found if entry is not None)]


def arguments_of(target: Any) -> tuple[set[str], bool]:
    """Return the arguments of a class or function.

    ``**kwargs`` are followed to the next class that has a constructor.

    Args:
        target (Any): The class or function.

    Returns:
        tuple[set[str], bool]: Their names, and whether others are dropped.
    """
    functions, names = [target], set()
    if inspect.isclass(target):
        classes = [c for c in target.__mro__[:-1] if '__init__' in vars(c)]
        functions = [vars(cls)['__init__'] for cls in classes]
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        # A config cannot contain a dataclass.
        own = [p for p in parameters if not is_dataclass(p.annotation)]
        names |= {p.name for p in own if 'VAR' not in p.kind.name}
        extra = [p.name for p in parameters if p.kind is p.VAR_KEYWORD]
        if not extra:
            break
        code = getattr(function, '__code__', None)
        # Forwarding or reading them mentions their name.
        if code and extra[0] not in {s.argval for s in dis.Bytecode(code)}:
            return names - {'self'}, True
    return names - {'self'}, False


def keys_read(readers: Iterable[Any], name: str) -> set[str]:
    """Return the keys that classes read from a dict by the dict's name.

    Args:
        readers (Iterable[Any]): Classes. Their modules are searched, and those
            of their parents. Functions are skipped.
        name (str): The name of the dict in that code, such as 'env_cfg'.

    Returns:
        set[str]: The keys; also the names of methods called on the dict.
    """
    classes = {c for r in readers if inspect.isclass(r) for c in r.__mro__}
    modules = {inspect.getmodule(cls) for cls in classes - {object}}
    files = {getattr(module, '__file__', None) or '' for module in modules}
    read = re.compile(
        rf"""\b{name}(?:\.(?:get|pop|setdefault)\(|\[)\s*['"](\w+)"""
        rf"""|\b{name}\.(\w+)"""
        rf"""|['"](\w+)['"]\s+(?:not\s+)?in\s+(?:\w+\.)*{name}\b"""
    )
    sources = [Path(f).read_text('utf-8') for f in files if f.endswith('.py')]
    found = [keys for source in sources for keys in read.findall(source)]
    return {key for keys in found for key in keys if key}
