"""Rules that assign every class to a prompt (section 3.4)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mmdavpt.errors import first_few

from .kmeans import cluster
from .normalization import normalize_rows


@dataclass(frozen=True, eq=False)
class MappingResult:
    """A class-to-prompt mapping.

    Attributes:
        mapping (np.ndarray): Prompt of each class, -1 for a class without
            guidance, int64, shape (K, ).
        centroids (np.ndarray): Centroid of each prompt among the normalized
            class representations, zero for an unassigned prompt and for one
            whose only class was never seen, float64, shape (P, C).
        never_seen (tuple[int, ...]): Classes that have a prompt although no
            sample of them was ever seen.
    """

    mapping: np.ndarray
    centroids: np.ndarray
    never_seen: tuple[int, ...] = ()

    @property
    def sizes(self) -> np.ndarray:
        """np.ndarray: Number of classes per prompt, int64, shape (P, )."""
        guided = self.mapping[self.mapping >= 0]
        return np.bincount(guided, minlength=len(self.centroids))


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


def assign_prompts(
    representations: np.ndarray,
    seen: np.ndarray,
    num_prompts: int,
    centroids: np.ndarray | None = None,
    excluded: Iterable[int] = (),
    normalize: str = 'l2',
    seed: int = 0,
) -> MappingResult:
    """Map classes to prompts, by the first rule that applies.

    1. At most one class is not excluded: no class gets a prompt, since there
       is nothing to push away from. The caller warns.
    2. No more classes than prompts: the k-th class that is not excluded gets
       prompt k, seen or not; the other prompts are unassigned.
    3. No more seen classes than prompts: the k-th seen class gets prompt k.
    4. Else: k-means of the seen classes into as many clusters as prompts.

    In 3 and 4 a class never seen joins the prompt with a seen class whose
    index is nearest to ``position * P // K``, where the position counts the
    ``K`` classes that are not excluded; the lower one of two equally near.

    Args:
        representations (np.ndarray): Class representations, shape (K, C).
            Those of classes never seen are not read.
        seen (np.ndarray): Whether each class was ever seen, bool, (K, ).
        num_prompts (int): The number of guided prompts ``P``.
        centroids (np.ndarray, optional): Previous centroids to start from,
            shape (P, C). If a row is zero, a prompt was unassigned, and
            k-means starts from k-means++. Defaults to None.
        excluded (Iterable[int]): Classes without guidance, such as the
            background. Defaults to ().
        normalize (str): See :func:`normalize_rows`. Defaults to 'l2'.
        seed (int): Seed of k-means++. Defaults to 0.

    Raises:
        ValueError: If no class was seen, or a representation is not finite.
    """
    representations = np.asarray(representations)
    seen = np.asarray(seen, dtype=bool)
    classes = np.setdiff1d(np.arange(len(seen)), list(excluded))
    mapping = np.full(len(seen), -1, dtype=np.int64)
    means = np.zeros((num_prompts, representations.shape[1]))
    if len(classes) <= 1:
        return MappingResult(mapping, means)
    known = _seen_classes(classes, representations, seen)
    points = representations[known]
    if len(known) > num_prompts:
        if centroids is not None and not np.any(centroids, axis=1).all():
            centroids = None
        options = (num_prompts, centroids, normalize, seed)
        mapping[known], means = cluster(points, *options)
    else:
        one_each = classes if len(classes) <= num_prompts else known
        mapping[one_each] = np.arange(len(one_each))
        means[mapping[known]] = normalize_rows(points, normalize)
    never_seen = np.setdiff1d(classes, known)
    _assign_by_index(mapping, classes, never_seen, num_prompts)
    return MappingResult(mapping, means, tuple(never_seen.tolist()))


def _seen_classes(
    classes: np.ndarray, representations: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """Return the classes that were seen; check their representations."""
    seen_classes = classes[seen[classes]]
    if not len(seen_classes):
        raise ValueError(
            f'none of the {len(classes)} classes has a training sample, but '
            'at least one is needed to assign prompts; check that the '
            'training data has labels and that its annotations are not all '
            'ignored'
        )
    finite = np.isfinite(representations).all(axis=1)[seen_classes]
    if not finite.all():
        raise ValueError(
            'class representations should be finite, but those of the '
            f'classes {first_few(seen_classes[~finite], 10)} are not; check '
            'their images for NaN or infinite values, or lower the learning '
            'rate if training diverged'
        )
    return seen_classes


def _assign_by_index(
    mapping: np.ndarray, classes: np.ndarray, never_seen: np.ndarray, most: int
) -> None:
    """Assign classes without a prompt to the nearest by index, in place."""
    used = np.unique(mapping[mapping >= 0])
    for k in never_seen[mapping[never_seen] < 0]:
        position = int(np.searchsorted(classes, k))
        target = position * most // len(classes)
        mapping[k] = used[np.abs(used - target).argmin()]
