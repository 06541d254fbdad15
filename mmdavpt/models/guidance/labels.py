"""Read and draw the guidance labels of data samples."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from mmengine.dist import get_rank, get_world_size
from mmengine.structures import BaseDataElement

from mmdavpt.mapping import check_pixel_labels, draw_guidance_label


def read_class_labels(data_samples: Sequence, num_classes: int) -> list[int]:
    """Return the class of each image, checked.

    Args:
        data_samples (Sequence[DataSample]): With ``gt_label``.
        num_classes (int): The number of classes ``K``.

    Raises:
        ValueError: If an image has no class or several, or if one is out of
            range.
    """
    labels = []
    for sample in data_samples:
        label = sample.get('gt_label')
        if (
            label is None
            or label.numel() != 1
            or not 0 <= int(label) < num_classes
        ):
            raise ValueError(
                f'{sample.get("img_path", "an image")} should have exactly '
                f'one `gt_label`, in [0, {num_classes}), but has {label}; '
                "check the annotations and the head's `num_classes`"
            )
        labels.append(int(label))
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
        with _pixels_of(sample) as pixels:
            check_pixel_labels(pixels, num_classes, ignore_index)


def draw_class_labels(
    data_samples: Sequence,
    num_classes: int,
    excluded: Sequence[int],
    ignore_index: int,
    key: Sequence[int],
) -> list[int]:
    """Draw one class of each sample's cropped annotation (appendix A.2).

    A draw depends only on ``key`` and on the position of the sample in the
    global batch: it needs no state to resume, and does not depend on the
    number of ranks.

    Args:
        data_samples (Sequence[SegDataSample]): With ``gt_sem_seg``.
        num_classes (int): The number of classes ``K``.
        excluded (Sequence[int]): Classes that are never drawn.
        ignore_index (int): The label of pixels without annotation.
        key (Sequence[int]): Seed, whether it is the first pass, iteration.

    Returns:
        list[int]: -1 for a sample without a class to draw.

    Raises:
        ValueError: If an annotation is missing or a label out of range.
    """
    labels = []
    for i, sample in enumerate(data_samples):
        position = i * get_world_size() + get_rank()
        rng = np.random.default_rng([*key, position])
        with _pixels_of(sample) as pixels:
            options = num_classes, excluded, ignore_index, rng
            labels.append(draw_guidance_label(pixels, *options))
    return labels


@contextmanager
def _pixels_of(sample: BaseDataElement) -> Iterator[np.ndarray]:
    """Yield the annotation of an image; add its path to an error."""
    path = sample.get('seg_map_path') or sample.get('img_path')
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            f'{path} has no annotation, but training needs one; add '
            '`LoadAnnotations` to the training pipeline'
        )
    try:
        yield sample.gt_sem_seg.data.cpu().numpy()
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
