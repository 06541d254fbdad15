"""Split images at random into training and validation images."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

#: Part of the images that validate.
FRACTION = 0.2


def split_by_class(
    classes: Mapping[str, Sequence[object]], seed: int = 0
) -> tuple[list[str], list[str]]:
    """Split images at random into training and validation images.

    Rare classes choose first. A fifth of the images of each class validates,
    at least one, and at least one trains.

    Args:
        classes (Mapping[str, Sequence]): Each image to its classes.
        seed (int): The seed. Defaults to 0.

    Returns:
        tuple[list[str], list[str]]: Both in the given order.
    """
    order, of_class = [*classes], defaultdict(list)
    random.Random(seed).shuffle(order)
    for image in order:
        for each in classes[image]:
            of_class[each].append(image)
    rarest_first = sorted(of_class.values(), key=len)
    train, val = set(), set()
    for images in rarest_first:
        wanted = max(round(FRACTION * len(images)), len(images) > 1)
        free = [i for i in images if i not in train and i not in val]
        missing = max(0, wanted - len(val.intersection(images)))
        val.update(free[:missing])
        train.update(free[missing:])
    for images in rarest_first:
        if not train.intersection(images):
            val.discard(images[0])
            train.add(images[0])
    return [i for i in classes if i not in val], [
        i for i in classes if i in val
    ]
