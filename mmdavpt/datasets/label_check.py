"""Find labels that are not classes of their dataset."""

import mmcv
import numpy as np
from PIL import Image

#: Pillow's modes of pixels with one value of at most 8 bits.
BYTES = ('1', 'L', 'P')


def class_label_defect(label: object, num_classes: int | None) -> str | None:
    """Return the defect of an image's class.

    Args:
        label (object): The label that the dataset lists.
        num_classes (int, optional): The number of classes ``K``; None if
            unknown.

    Returns:
        str | None: The defect, such as 'has the label 7, but ...'; None if
        there is none, or if the image has several labels.
    """
    if num_classes is None or not isinstance(label, (int, np.integer)):
        return None
    if 0 <= label < num_classes:
        return None
    return (
        f'has the label {label}, but there are {num_classes} classes, with '
        f'labels from 0 to {num_classes - 1}'
    )


def annotation_defect(
    annotation: np.ndarray,
    num_classes: int | None,
    ignore_index: int,
    reduce_zero_label: bool = False,
) -> str | None:
    """Return the defect of an image's pixel labels.

    Args:
        annotation (np.ndarray): The loaded labels, (H, W).
        num_classes (int, optional): The number of classes ``K``; None if
            unknown.
        ignore_index (int): The label of pixels without annotation.
        reduce_zero_label (bool): Whether the loader subtracted one from the
            values in the file. Defaults to False.

    Returns:
        str | None: The defect, such as 'has the label 7, but ...'; None if
        there is none.
    """
    if annotation.ndim != 2:
        return (
            'should have one number per pixel, the class, but is loaded with '
            f'the shape {annotation.shape}'
        )
    if num_classes is None:
        return None
    if annotation.dtype == np.uint8:
        # Counting is ten times as fast as sorting.
        values = np.flatnonzero(np.bincount(annotation.ravel()))
    else:
        values = np.unique(annotation)
    wrong = values[
        ((values < 0) | (values >= num_classes)) & (values != ignore_index)
    ]
    if not len(wrong):
        return None
    in_file = (
        f' ({wrong[0] + 1} in the file: reduce_zero_label subtracts one)'
        if reduce_zero_label
        else ''
    )
    more = f' and {len(wrong) - 1} more such' if wrong[1:].size else ''
    return (
        f'has the label {wrong[0]}{in_file}{more}, but there are '
        f'{num_classes} classes, with labels from 0 to {num_classes - 1}, '
        f'and {ignore_index} is ignored'
    )


def wide_value_defect(path: str) -> str | None:
    """Return whether loading cuts the labels of a file to 8 bits.

    Args:
        path (str): The annotation file.

    Returns:
        str | None: The defect, such as 'has the value 300, ...'; None if
        there is none.
    """
    with Image.open(path) as image:
        if image.mode in BYTES or len(image.getbands()) > 1:
            return None
    values = mmcv.imread(path, flag='unchanged', backend='pillow')
    if values.max() <= 255:
        return None
    return (
        f'has the value {values.max()}, but labels are read as 8 bits, '
        'that is up to 255'
    )
