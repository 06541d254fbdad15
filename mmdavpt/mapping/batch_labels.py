"""The labels of a raw batch: checked, and drawn for guidance."""

from contextlib import contextmanager
from typing import Callable, List, Sequence

import numpy as np
from mmengine.dist import get_rank, get_world_size
from torch import nn

from mmdavpt.engine.trained_model import is_segmentor
from mmdavpt.mapping import check_pixel_labels, draw_guidance_label


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


def labels_of_batch(
    model: nn.Module,
    data_samples: Sequence,
    seed: int,
    iteration: int,
    first_pass: bool = False,
) -> List[int]:
    """Return the guidance labels of a raw batch, checked, and -1 for none.

    For segmentation they are drawn. A draw depends on the numbers here and on
    the sample's place in the global batch alone: it needs no state to resume,
    and is the same on one process as on several.

    Args:
        model (nn.Module): A guided model, without wrapper.
        data_samples (Sequence[BaseDataElement]): Of this process.
        seed (int): Seed of the draws.
        iteration (int): The number of the iteration or batch.
        first_pass (bool): Whether it is of the pass before training. Defaults
            to False.

    Raises:
        ValueError: If a label is missing or out of range.
    """
    guidance = model.guidance
    if not is_segmentor(model):
        return read_class_labels(data_samples, guidance.num_classes)
    rank, world_size = get_rank(), get_world_size()
    return draw_class_labels(
        data_samples,
        guidance.num_classes,
        guidance.excluded,
        model.decode_head.ignore_index,
        lambda i: np.random.default_rng(
            [seed, first_pass, iteration, i * world_size + rank]
        ),
    )
