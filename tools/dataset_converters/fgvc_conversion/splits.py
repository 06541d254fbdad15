"""Split an original download of a fine-grained dataset into VPT's three lists.

SHA-256 digests of a seed and the image path, and integer arithmetic, select
the validation images. The selection is the same on every machine, with every
version of every library, and for any order of the images.
"""

import hashlib
import math
from collections import defaultdict
from fractions import Fraction
from functools import partial
from typing import Any

from mmdavpt.datasets.benchmarks import Benchmark
from mmdavpt.datasets.fgvc import ClassId
from mmdavpt.errors import UsageError

from .original import Original


def exact_fraction(fraction: float | str | Fraction) -> Fraction:
    """Return the exact value of a decimal fraction: 0.1 is a tenth.

    Args:
        fraction (float | str | Fraction): Such as 0.1, '0.1' or '1/10'.

    Raises:
        UsageError: If it is not between 0 and 1.
    """
    try:
        exact = Fraction(str(fraction))
    except (ValueError, ZeroDivisionError):
        exact = Fraction(0)
    if not 0 < exact < 1:
        raise UsageError(
            'the fraction to hold out should be a number between 0 and 1, '
            f'but got {fraction}'
        )
    return exact


def val_size(num_images: int, fraction: float | str | Fraction) -> int:
    """Return the number of held-out images: the fraction, rounded up.

    This rule gives the sizes of VPT's lists: a tenth of 5994, 23929, 12000 and
    8144 is 600, 2393, 1200 and 815.

    Args:
        num_images (int): Number of images.
        fraction (float | str | Fraction): See :func:`exact_fraction`.

    Raises:
        UsageError: If no image remains.
    """
    size = math.ceil(exact_fraction(fraction) * num_images)
    if size >= num_images:
        raise UsageError(
            f'holding out {fraction} of {num_images} images leaves none; '
            'hold out fewer'
        )
    return size


def hold_out(
    entries: dict[str, ClassId],
    fraction: float | str | Fraction = 0.1,
    seed: int = 0,
    stratified: bool = True,
) -> set[str]:
    """Select the validation images.

    Images are taken in the order of the SHA-256 digests of
    ``'{seed}\\n{image path}'``. If stratified, each class gives the fraction
    of its images, rounded down, and the classes with the largest remainders
    give one more, until :func:`val_size` is reached.

    Args:
        entries (dict[str, int | str]): Class ids by image path.
        fraction (float | str | Fraction): Fraction to hold out.
            Defaults to 0.1.
        seed (int): Seed of the selection. Defaults to 0.
        stratified (bool): Whether to take the same share of each class.
            Defaults to True.

    Returns:
        set[str]: The paths.

    Raises:
        UsageError: If the fraction is out of range, or a class would have no
            training image left.
    """
    size = val_size(len(entries), fraction)
    ordered = sorted(entries, key=partial(_digest, seed))
    by_class: dict[ClassId, list[str]] = defaultdict(list)
    for image in ordered:
        by_class[entries[image]].append(image)
    if stratified:
        quotas = _quotas(by_class, exact_fraction(fraction), size, seed)
        held_out = {
            image for c in by_class for image in by_class[c][: quotas[c]]
        }
    else:
        held_out = set(ordered[:size])
    emptied = sorted(c for c in by_class if held_out.issuperset(by_class[c]))
    if emptied or len(held_out) != size:
        raise UsageError(
            f'{size} of {len(entries)} images cannot be held out without '
            'taking the last training image of a class'
            + (f', such as class {emptied[0]}' if emptied else '')
            + '; hold out fewer, or the same share of each class'
        )
    return held_out


def _digest(seed: int, text: object) -> bytes:
    return hashlib.sha256(f'{seed}\n{text}'.encode()).digest()


def _quotas(
    by_class: dict[ClassId, list[str]],
    fraction: Fraction,
    size: int,
    seed: int,
) -> dict[ClassId, int]:
    """Return the number of held-out images of each class."""
    shares = {c: fraction * len(images) for c, images in by_class.items()}
    quotas = {c: math.floor(share) for c, share in shares.items()}
    by_remainder = sorted(
        shares, key=lambda c: (quotas[c] - shares[c], _digest(seed, c))
    )
    for c in by_remainder:
        if sum(quotas.values()) == size:
            break
        if quotas[c] + 1 < len(by_class[c]):
            quotas[c] += 1
    return quotas


def make_lists(
    fgvc_set: Benchmark,
    original: Original,
    fraction: float | str | Fraction | None = None,
    seed: int | None = None,
    stratified: bool = True,
) -> tuple[dict[str, dict[str, int]], dict[str, Any]]:
    """Split an original download into the three lists.

    Args:
        fgvc_set (Benchmark): The dataset.
        original (Original): The download.
        fraction (float | str | Fraction, optional): Fraction of the training
            images to hold out. Defaults to None: 0.1.
        seed (int, optional): See :func:`hold_out`. Defaults to None: 0.
        stratified (bool): See :func:`hold_out`. Defaults to True.

    Returns:
        tuple[dict, dict]: The entries of 'train', 'val' and 'test', and the
        rule that selected the validation images.

    Raises:
        UsageError: See :func:`hold_out`; or if the dataset has official
            validation images and a rule is given.
    """
    if original.val is not None:
        if (fraction, seed, stratified) != (None, None, True):
            raise UsageError(
                f'{fgvc_set.title} has official validation images; leave out '
                'the fraction, seed and stratification'
            )
        lists = dict(
            train=original.train, val=original.val, test=original.test
        )
        return lists, dict(validation='official')
    fraction = exact_fraction(0.1 if fraction is None else fraction)
    seed = 0 if seed is None else seed
    held_out = hold_out(original.train, fraction, seed, stratified)
    train = {k: v for k, v in original.train.items() if k not in held_out}
    val = {k: v for k, v in original.train.items() if k in held_out}
    rule = dict(
        validation='held out',
        fraction=str(fraction),
        seed=seed,
        stratified=stratified,
        order='SHA-256 of "SEED\\nPATH"',
    )
    return dict(train=train, val=val, test=original.test), rule
