"""Suggest the classes of masks that hold gray levels instead of classes."""

from collections.abc import Iterable

#: The label of pixels that losses and metrics leave out.
IGNORED = 255
#: Values at least this far apart are gray levels that people can tell apart.
#: Closer ones are class numbers, some of which do not occur, or the noise of
#: a JPEG.
GRAY_STEP = 10


def suggest_value_map(
    values: Iterable[int], num_classes: int | None = None
) -> dict[int, int] | None:
    """Suggest a ``value_map`` for masks whose values are not classes.

    The suggestion numbers the values in ascending order, so no two of them
    become one class. It is for a person to confirm, or for a config that
    shows it.

    ====================  ===========  =====================================
    values                num_classes  suggestion
    ====================  ===========  =====================================
    0, 255                None or 2    {0: 0, 255: 1}
    0, 127, 255           None or 3    {0: 0, 127: 1, 255: 2}
    1, 2, 3               3            {1: 0, 2: 1, 3: 2}
    1, 2, 255             2            {1: 0, 2: 1, 255: 255}
    0, 7, 15              3            {0: 0, 7: 1, 15: 2}
    0, 7, 15              None, 21     None: classes that do not all occur
    0, 1, 2, 3, 77        5            None: 77 may be a mistake
    0, 1, 255             any          None: two classes, and ignored pixels
    0, 1, 2, 255          4            None: 255 may be ignored, or class 3
    0, 127, 255           2            None: 255 may be ignored, or a class
    1, 255                any          None: 255 may be ignored, or a class
    1, 2, 3               None         None: class 0 may not occur
    0, 255                3            None: a class may not occur
    255                   any          None: there is nothing to map
    ====================  ===========  =====================================

    Args:
        values (Iterable[int]): The values that occur in all masks, not in a
            single one.
        num_classes (int, optional): The number of classes ``K`` that the
            user declares. Defaults to None: unknown.

    Returns:
        dict[int, int] | None: Each value to its class, or to 255 for ignored
        pixels; None if the values may be classes, or if there are several
        ways to read them.
    """
    values = sorted({int(value) for value in values})
    labels = [value for value in values if value != IGNORED]
    if len(values) < 2 or not labels:
        return None
    ascending = {value: k for k, value in enumerate(values)}
    if labels == [*range(labels[0], labels[0] + len(labels))] and labels[1:]:
        # Consecutive numbers, so 255 is not another one of them.
        if labels[0] == 0 or len(labels) != num_classes:
            return None
        return ascending | {v: IGNORED for v in values if v == IGNORED}
    if num_classes not in (None, len(values)):
        return None
    step = min(b - a for a, b in zip(values, values[1:], strict=False))
    levels = values[0] == 0 and step >= GRAY_STEP
    # Next to values that are classes already, others may be mistakes.
    sure = num_classes is not None and not any(
        0 < value < num_classes or value == IGNORED for value in values
    )
    return ascending if levels or sure else None
