"""Whether the labels of a dataset are classes that it has."""

from collections.abc import Callable

import mmcv
import numpy as np
from PIL import Image

#: Pillow's names of pixels whose value is one number of at most 8 bits.
BYTES = ('1', 'L', 'P')


def class_label_defect(label: object, num_classes: int | None) -> str | None:
    """Return what is wrong with the class of an image.

    Args:
        label (object): What the dataset lists.
        num_classes (int, optional): The number of classes ``K``; None if
            it is not known.

    Returns:
        str | None: What is wrong, as 'has the label 7, but ...'; None if
        nothing, or for several labels of one image.
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
    """Return what is wrong with the labels of pixels.

    Args:
        annotation (np.ndarray): As it is loaded, with shape (H, W).
        num_classes (int, optional): The number of classes ``K``; None if
            it is not known.
        ignore_index (int): The label of pixels without annotation.
        reduce_zero_label (bool): Whether the loader took one off the values
            in the file. Defaults to False.

    Returns:
        str | None: What is wrong, as 'has the label 7, but ...'; None if
        nothing.
    """
    if annotation.ndim != 2:
        return (
            'should have one number a pixel, the class, but is loaded with '
            f'the shape {annotation.shape}'
        )
    if annotation.dtype == np.uint8:
        # A count, as sorting takes ten times as long.
        values = np.flatnonzero(np.bincount(annotation.ravel()))
    else:
        values = np.unique(annotation)
    values = values[values != ignore_index]
    if num_classes is None:
        return None
    wrong = values[(values < 0) | (values >= num_classes)]
    if not len(wrong):
        return None
    in_file = (
        f' ({wrong[0] + 1} in the file: reduce_zero_label takes off one)'
        if reduce_zero_label
        else ''
    )
    more = f', and {len(wrong) - 1} more such' if wrong[1:].size else ''
    return (
        f'has the label {wrong[0]}{in_file}{more}, but there are '
        f'{num_classes} classes, with labels from 0 to {num_classes - 1}, '
        f'and {ignore_index} is ignored'
    )


def wide_value_defect(path: str) -> str | None:
    """Return whether labels of an annotation file are cut to 8 bits.

    Args:
        path (str): The file, in a format of one channel.

    Returns:
        str | None: What is wrong, as 'has the value 300, ...'; None if
        nothing, or if no library knows the format.
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


def load_annotation(loader: Callable[[dict], dict], info: dict) -> np.ndarray:
    """Load an annotation as a pipeline does.

    Args:
        loader (Callable): The transform ``LoadAnnotations``.
        info (dict): The sample, as its dataset lists it.

    Returns:
        np.ndarray: The labels, with shape (H, W).
    """
    return loader(dict(info, seg_fields=[]))['gt_seg_map']
