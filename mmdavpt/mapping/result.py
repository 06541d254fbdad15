"""A class-to-prompt mapping and its log line."""

from dataclasses import dataclass

import numpy as np

from mmdavpt.errors import first_few


@dataclass(frozen=True, eq=False)
class MappingResult:
    """A class-to-prompt mapping.

    Attributes:
        mapping (np.ndarray): Prompt of each class, -1 for a class without
            guidance, int64, shape (K, ).
        centroids (np.ndarray): Centroid of each prompt among the normalized
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
    unassigned, never = sizes.count(0), result.never_seen
    moves = f'{moved} class{"" if moved == 1 else "es"} moved'
    parts = [
        f'{sum(sizes)} classes on {len(sizes) - unassigned} prompts',
        f'{unassigned} unassigned' if unassigned else '',
        f'cluster sizes {sizes}',
        'first mapping' if moved is None else moves,
        f'never seen: {first_few(never, 10)}' if never else '',
    ]
    return 'Mapping: ' + ', '.join(filter(None, parts))
