"""Look up benchmark datasets by name, title or alias."""

from collections.abc import Iterable
from typing import Any

from mmdavpt.errors import UsageError, did_you_mean


def find_by_name(name: object, known: Iterable[Any], kind: str) -> Any:
    """Return the item with a name; case and punctuation do not matter.

    Args:
        name (object): Name, title or alias of the item.
        known (Iterable): The items, which have ``name``, ``title`` and
            ``aliases``.
        kind (str): Name of the items in the message.

    Raises:
        UsageError: If no item has the name.
    """
    names = {
        _simplify(alias): item
        for item in known
        for alias in (item.name, item.title, *item.aliases)
    }
    if _simplify(name) in names:
        return names[_simplify(name)]
    choices = list(dict.fromkeys(item.name for item in names.values()))
    raise UsageError(
        f'{kind} should be one of {choices}, but got {name!r}'
        + did_you_mean(name, choices)
    )


def _simplify(name: object) -> str:
    return ''.join(c for c in str(name).lower() if c.isalnum())
