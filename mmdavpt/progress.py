"""Progress bars."""

import os
from collections.abc import Iterable


def track(
    items: Iterable, description: str, total: int | None = None
) -> Iterable:
    """Iterate over items, with a progress bar on stderr if it is a terminal.

    Args:
        items (Iterable): The items.
        description (str): Label of the bar.
        total (int, optional): Their number. Defaults to None: their length.

    Returns:
        Iterable: The same items. Only rank 0 shows a bar.
    """
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    shown = console.is_terminal and os.environ.get('RANK', '0') == '0'
    return rich_track(
        items, description, total, console=console, disable=not shown
    )
