"""The rules that send every class to a prompt (section 3.4)."""

from collections.abc import Iterable

import numpy as np

from .kmeans import check_options, cluster
from .normalization import normalize_rows
from .result import MappingResult, listed


def assign_prompts(
    representations: np.ndarray,
    seen: np.ndarray,
    num_prompts: int,
    centroids: np.ndarray | None = None,
    excluded: Iterable[int] = (),
    normalize: str = 'l2',
    seed: int = 0,
    algorithm: str = 'full',
    restarts: int | None = None,
    balanced: bool = False,
) -> MappingResult:
    """Map classes to prompts.

    The first rule that applies holds:

    1. At most one class is not excluded: no class gets a prompt, since there
       is nothing to push away from. The caller warns.
    2. No more classes than prompts: the k-th class that is not excluded gets
       prompt k, seen or not; the other prompts are unassigned.
    3. No more seen classes than prompts: the k-th seen class gets prompt k.
    4. Else: k-means of the seen classes into as many clusters as prompts.

    In 3 and 4 a class that was never seen joins the prompt with a seen class
    whose index is nearest to ``position * P // K``, where the position counts
    the ``K`` classes that are not excluded; of two equally near prompts, the
    lower one. With ``balanced``, it joins the nearest that has room: of the U
    prompts with a seen class, each ends up with floor(K / U) or ceil(K / U)
    classes.

    Args:
        representations (np.ndarray): Class representations, shape (K, C).
            Those of classes never seen may be anything.
        seen (np.ndarray): Whether each class was ever seen, bool,
            shape (K, ).
        num_prompts (int): The number of guided prompts ``P``.
        centroids (np.ndarray, optional): Previous centroids to start from,
            shape (P, C); cluster ``p`` goes on from centroid ``p``. If a row
            is zero, a prompt was unassigned, and k-means starts anew.
            Defaults to None.
        excluded (Iterable[int]): Classes without guidance, such as the
            background. Defaults to ().
        normalize (str): See :func:`normalize_rows`. Defaults to 'l2'.
        seed (int): Seed of k-means++. Defaults to 0.
        algorithm (str): See :func:`cluster`. Defaults to 'full'.
        restarts (int, optional): See :func:`cluster`. Defaults to None.
        balanced (bool): Whether prompts get equally many classes, as nearly
            as that goes. Defaults to False.

    Returns:
        MappingResult: The mapping.

    Raises:
        ValueError: If a shape or number does not fit, if an excluded class
            does not exist, if no class was seen, if the representation of a
            seen class is not finite, or if an option is unknown.
    """
    check_options(algorithm, restarts, balanced)
    representations = np.asarray(representations)
    seen = np.asarray(seen, dtype=bool)
    classes = _guided_classes(representations, seen, num_prompts, excluded)
    shape = (num_prompts, representations.shape[1])
    if centroids is not None and np.shape(centroids) != shape:
        raise ValueError(
            f'previous centroids should have the shape {shape}, but got '
            f'{np.shape(centroids)}; leave them out to start anew'
        )
    mapping = np.full(len(seen), -1, dtype=np.int64)
    if len(classes) <= 1:
        return _result(mapping, np.zeros(shape))
    seen_classes = _seen_classes(classes, representations, seen)
    never_seen = np.setdiff1d(classes, seen_classes)
    points = representations[seen_classes]
    if len(seen_classes) > num_prompts:
        mapping[seen_classes], new_centroids = cluster(
            points,
            num_prompts,
            _warm_start(centroids),
            normalize,
            seed,
            algorithm,
            restarts,
            balanced,
        )
    else:
        one_each = classes if len(classes) <= num_prompts else seen_classes
        mapping[one_each] = np.arange(len(one_each))
        new_centroids = np.zeros(shape)
        new_centroids[mapping[seen_classes]] = normalize_rows(
            points, normalize
        )
    _place(mapping, classes, never_seen, num_prompts, balanced)
    return _result(mapping, new_centroids, never_seen)


def _guided_classes(
    representations: np.ndarray,
    seen: np.ndarray,
    num_prompts: int,
    excluded: Iterable[int],
) -> np.ndarray:
    """Check the inputs and return the classes that are not excluded."""
    if representations.ndim != 2 or seen.shape != representations.shape[:1]:
        raise ValueError(
            'representations and seen should have the shapes (K, C) and '
            f'(K, ), but got {representations.shape} and {seen.shape}'
        )
    if num_prompts < 1:
        raise ValueError(
            f'num_prompts should be at least 1, but got {num_prompts}'
        )
    excluded = sorted(set(excluded))
    unknown = [k for k in excluded if not 0 <= k < len(seen)]
    if unknown:
        raise ValueError(
            f'excluded classes should lie in [0, {len(seen)}), but got '
            f'{listed(unknown)}'
        )
    return np.setdiff1d(np.arange(len(seen)), excluded)


def _seen_classes(
    classes: np.ndarray, representations: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """Return those of the classes that were seen, once they are checked."""
    seen_classes = classes[seen[classes]]
    if not len(seen_classes):
        raise ValueError(
            'at least one class should have been seen before prompts are '
            f'assigned, but none of the {len(classes)} classes was; check '
            'that the training data has labels and that its annotations are '
            'not all ignored'
        )
    finite = np.isfinite(representations).all(axis=1)[seen_classes]
    if not finite.all():
        raise ValueError(
            'class representations should be finite, but those of the '
            f'classes {listed(seen_classes[~finite])} are not; check the '
            'images for NaN and the training for divergence'
        )
    return seen_classes


def _warm_start(centroids: np.ndarray | None) -> np.ndarray | None:
    """Return the centroids if every prompt had one, else None."""
    if centroids is None or not np.any(centroids, axis=1).all():
        return None
    return np.asarray(centroids)


def _place(
    mapping: np.ndarray,
    classes: np.ndarray,
    never_seen: np.ndarray,
    num_prompts: int,
    balanced: bool = False,
) -> None:
    """Send classes without a prompt to the nearest by index, in place."""
    used, sizes = np.unique(mapping[mapping >= 0], return_counts=True)
    least, extra = divmod(len(classes), len(used))
    for k in never_seen[mapping[never_seen] < 0]:
        position = int(np.searchsorted(classes, k))
        wanted = position * num_prompts // len(classes)
        far = np.abs(used - wanted).astype(float)
        if balanced:
            # Only so many prompts may have one class more than the others.
            full = least + ((sizes > least).sum() < extra)
            far[sizes >= full] = np.inf
        nearest = far.argmin()
        mapping[k] = used[nearest]
        sizes[nearest] += 1


def _result(
    mapping: np.ndarray, centroids: np.ndarray, never_seen: Iterable[int] = ()
) -> MappingResult:
    """Count the sizes and freeze the result."""
    sizes = np.bincount(mapping[mapping >= 0], minlength=len(centroids))
    return MappingResult(
        mapping,
        centroids,
        sizes.astype(np.int64),
        tuple(int(k) for k in never_seen),
    )
