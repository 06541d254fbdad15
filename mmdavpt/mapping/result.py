"""A class-to-prompt mapping and its log line."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class MappingResult:
    """Which prompt each class belongs to.

    Attributes:
        mapping (np.ndarray): Prompt of each class, -1 for a class without
            guidance, int64, shape (K, ).
        centroids (np.ndarray): Centroid of each prompt among the normalised
            class representations, zero for an unassigned prompt and for one
            whose only class was never seen, float64, shape (P, C).
        sizes (np.ndarray): Number of classes per prompt, 0 for an unassigned
            prompt, int64, shape (P, ).
        never_seen (tuple[int, ...]): Classes that have a prompt although no
            sample of them was ever seen.
    """

    mapping: np.ndarray
    centroids: np.ndarray
    sizes: np.ndarray
    never_seen: tuple[int, ...] = ()


def moved(previous: np.ndarray, current: np.ndarray) -> int:
    """Count the classes whose prompt changed.

    Args:
        previous (np.ndarray): Mapping before, shape (K, ).
        current (np.ndarray): Mapping after, shape (K, ).

    Returns:
        int: The number of classes.

    Raises:
        ValueError: If the mappings are not of the same classes.
    """
    previous, current = np.asarray(previous), np.asarray(current)
    if previous.shape != current.shape:
        raise ValueError(
            'mappings should be of the same classes, but got '
            f'{len(previous)} and {len(current)} classes'
        )
    return int((previous != current).sum())


def describe(result: MappingResult, moved: int | None) -> str:
    """Return the log line of a re-clustering.

    Args:
        result (MappingResult): The new mapping.
        moved (int, optional): Classes that changed prompt; None for the
            first mapping.

    Returns:
        str: One line.
    """
    if (result.mapping < 0).all():
        return 'Mapping: no class has a prompt, the guidance is off'
    sizes = result.sizes.tolist()
    unassigned = sizes.count(0)
    parts = [
        f'{sum(sizes)} classes on {len(sizes) - unassigned} prompts',
        f'cluster sizes {sizes}',
        'first mapping'
        if moved is None
        else f'{moved} class{"" if moved == 1 else "es"} moved',
    ]
    if unassigned:
        parts.insert(1, f'{unassigned} unassigned')
    if result.never_seen:
        parts.append(f'never seen: {listed(result.never_seen)}')
    return 'Mapping: ' + ', '.join(parts)


def listed(indices: Iterable[int], limit: int = 10) -> str:
    """List at most ``limit`` class indices."""
    indices = [int(k) for k in indices]
    more = len(indices) - limit
    names = ', '.join(str(k) for k in indices[:limit])
    return f'{names} and {more} more' if more > 0 else names
