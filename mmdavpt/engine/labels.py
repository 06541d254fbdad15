"""The labels of a raw batch: checked, and drawn for guidance."""

from contextlib import contextmanager
from typing import Callable, List, Sequence

import numpy as np

from mmdavpt.clustering import check_pixel_labels, draw_guidance_label


def read_class_labels(data_samples: Sequence, num_classes: int) -> List[int]:
    """Return the class of each image, checked.

    Args:
        data_samples (Sequence[DataSample]): With ``gt_label``.
        num_classes (int): The number of classes ``K``.

    Raises:
        ValueError: If a label is missing or out of range.
    """
    labels = []
    for sample in data_samples:
        given = sample.get('gt_label')
        if (
            given is None
            or given.numel() != 1
            or not (0 <= int(given) < num_classes)
        ):
            raise ValueError(
                'training needs one label per image, at least 0 and below '
                f'num_classes={num_classes}, but '
                f'{sample.get("img_path", "an image")} has {given}; check '
                "the annotations and the head's `num_classes`"
            )
        labels.append(int(given))
    return labels


def check_annotations(
    data_samples: Sequence, num_classes: int, ignore_index: int
) -> None:
    """Check the pixel labels of a batch.

    Args:
        data_samples (Sequence[SegDataSample]): With ``gt_sem_seg``.
        num_classes (int): The number of classes ``K``.
        ignore_index (int): The label of pixels without annotation.

    Raises:
        ValueError: If an annotation is missing or a label out of range.
    """
    for sample in data_samples:
        with _naming(sample):
            check_pixel_labels(
                sample.gt_sem_seg.data.numpy(), num_classes, ignore_index
            )


def draw_class_labels(
    data_samples: Sequence,
    num_classes: int,
    excluded: Sequence[int],
    ignore_index: int,
    generator_of: Callable[[int], np.random.Generator],
) -> List[int]:
    """Draw one class of each sample's cropped annotation (appendix A.2).

    Args:
        data_samples (Sequence[SegDataSample]): With ``gt_sem_seg``.
        num_classes (int): The number of classes ``K``.
        excluded (Sequence[int]): Classes that are never drawn.
        ignore_index (int): The label of pixels without annotation.
        generator_of (Callable[[int], np.random.Generator]): Gives the
            generator of the i-th sample.

    Returns:
        List[int]: -1 where there is nothing to draw from.

    Raises:
        ValueError: If an annotation is missing or a label out of range.
    """
    labels = []
    for i, sample in enumerate(data_samples):
        with _naming(sample):
            labels.append(
                draw_guidance_label(
                    sample.gt_sem_seg.data.numpy(),
                    num_classes,
                    excluded,
                    ignore_index,
                    generator_of(i),
                )
            )
    return labels


@contextmanager
def _naming(sample):
    """Say which image an error inside is about."""
    where = sample.get('seg_map_path') or sample.get('img_path')
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            f'training needs an annotation of each image, but {where} has '
            'none; add `LoadAnnotations` to the training pipeline'
        )
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
