"""Whether values of a config are of the kinds that signatures say."""

import functools
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace, UnionType
from typing import Any, NamedTuple

import numpy as np

from .known_keys import ALSO_TAKEN, OWN_KEYS

#: Packages whose annotations are taken at their word.
EXACT = ('mmengine', 'mmdavpt', 'torch')


class Argument(NamedTuple):
    """What a signature says of an argument."""

    hint: Any
    default: Any
    exact: bool


def named_arguments(target: Any) -> Iterator[str]:
    """Yield the names of keyword arguments of a class or function.

    Args:
        target (type | Callable): The class or function.
    """
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        ):
            yield name


@functools.lru_cache(maxsize=512)
def annotated_arguments(target: Any) -> dict[str, Argument]:
    """Return what is said of each argument, as far as it is.

    Without an annotation, a default that is a fraction says the usual kind.

    Args:
        target (type | Callable): A class, of which constructors of parents
            count too, or a function.
    """
    functions = [target]
    if inspect.isclass(target):
        functions = [
            vars(cls)['__init__']
            for cls in reversed(target.__mro__)
            if inspect.isfunction(vars(cls).get('__init__'))
        ]
    found: dict[str, Argument] = {}
    for function in functions:
        hints = _hints(function)
        parameters = inspect.signature(function).parameters
        exact = str(function.__module__).partition('.')[0] in EXACT
        for name in named_arguments(function):
            found.pop(name, None)
            default = parameters[name].default
            if name in hints:
                found[name] = Argument(hints[name], default, exact)
            elif isinstance(default, float):
                found[name] = Argument(float, default, False)
    return found


def _hints(function: Any) -> dict[str, Any]:
    """Return the annotations of a function that can be resolved.

    Some names exist for type checkers only: what is said of one argument by
    such a name should not hide what is said of the others.
    """
    found: dict[str, Any] = {}
    names = getattr(function, '__globals__', {})
    for name, hint in getattr(function, '__annotations__', {}).items():
        one = SimpleNamespace(__annotations__={name: hint})
        with suppress(NameError, TypeError, AttributeError):
            found |= typing.get_type_hints(one, names)
    return found


def kind_defects(path: str, node: dict, target: Any) -> Iterator[str]:
    """Yield which values cannot be what they are passed as.

    Args:
        path (str): Dotted path of the dict, '' for the config itself.
        node (dict): The dict.
        target (type | Callable): What its values are passed to.
    """
    arguments = annotated_arguments(target)
    for key, value in node.items():
        if key in OWN_KEYS or key not in arguments:
            continue
        hint, default, exact = arguments[key]
        if (
            not fits(value, hint, exact)
            and not fits(value, ALSO_TAKEN.get(key, hint))
            and value is not default
        ):
            yield (
                f'`{path + "." if path else ""}{key}` should be '
                f'{_name(hint)}, but is {short(value)}'
            )


def fits(value: Any, hint: Any, exact: bool = True) -> bool:
    """Return whether a config's value is of the kind of an annotation.

    Args:
        value (Any): The value.
        hint (Any): What the signature says. What no config can hold, such
            as a module, is taken for anything.
        exact (bool): Whether the annotation is to be taken at its word. Many
            of the hosts say the usual kind only: then a fraction is taken
            for an integer, one for several and several for one, and None
            for anything. Defaults to True.
    """
    origin = typing.get_origin(hint) or hint
    if origin in (typing.Union, UnionType):
        return any(fits(value, part, exact) for part in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin in (None, type(None)):
        return value is None
    if not inspect.isclass(origin) or origin is object:
        return True
    if not exact and _is_near(value, origin):
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


def _is_near(value: Any, origin: type) -> bool:
    """Return whether a value is often taken where one kind is annotated."""
    several = (list, tuple)
    if value is None:
        return True
    if issubclass(origin, (bool, int, float)):
        return isinstance(value, (int, float, np.number, *several))
    if origin in (list, tuple, Sequence):
        return isinstance(value, (int, float, np.number, dict))
    return origin in (dict, Mapping) and isinstance(value, several)


def _name(hint: Any) -> str:
    """Return an annotation in words: 'int or None'."""
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return ' or '.join(_name(part) for part in typing.get_args(hint))
    if hint is type(None):
        return 'None'
    origin = typing.get_origin(hint) or hint
    return getattr(origin, '__name__', str(hint))


def short(value: Any) -> str:
    """Return a value as it is shown in a sentence.

    Args:
        value (Any): The value.
    """
    shown = repr(value)
    return shown if len(shown) < 80 else shown[:77] + '...'
