"""Decode single samples of a dataset, and find their defects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset

from .image_files import BROKEN, file_defect
from .label_check import (
    annotation_defect,
    class_label_defect,
    wide_value_defect,
)

#: Exceptions of the backends of ``LoadImageFromFile`` for a damaged image.
UNDECODABLE = (*BROKEN, AssertionError, TypeError, cv2.error)


@dataclass
class SampleCheck:
    """The samples of a dataset, and how to check them.

    Args:
        samples (list[dict]): The samples that the dataset lists.
        load_image (Callable): The transform that loads an image.
        load_labels (Callable, optional): The transform that loads pixel
            labels. Defaults to None: they are not read.
        num_classes (int, optional): The number of classes ``K``. Defaults to
            None: unknown.
        ignore_index (int): The label of pixels without annotation.
            Defaults to 255.
    """

    samples: list[dict]
    load_image: Callable[[dict], dict | None]
    load_labels: Callable[[dict], dict] | None = None
    num_classes: int | None = None
    ignore_index: int = 255

    def files(self, index: int) -> list[str]:
        """Return the files that a pipeline reads for a sample.

        Args:
            index (int): The index of the sample.
        """
        info = self.samples[index]
        files = [info['img_path']]
        if self.load_labels is not None and info.get('seg_map_path'):
            files.append(info['seg_map_path'])
        return files

    def defects(self, index: int) -> list[tuple[str, str]]:
        """Decode a sample, and return its defects.

        Args:
            index (int): The index of the sample.

        Returns:
            list[tuple[str, str]]: File and defect, such as ('a.jpg', 'is
            empty (0 bytes)').
        """
        info = self.samples[index]
        path, *labels_path = self.files(index)
        image, defect = _decode(path, lambda: self.load_image(dict(info)))
        found = [(path, defect), (path, self.class_defect(index))]
        for file in labels_path:
            labels, defect = _decode(
                file, lambda: self.load_labels(dict(info, seg_fields=[]))
            )
            if labels is not None:
                labels = labels['gt_seg_map']
                defect = wide_value_defect(file) or annotation_defect(
                    labels,
                    self.num_classes,
                    self.ignore_index,
                    info.get('reduce_zero_label', False),
                )
            if image is not None and labels is not None:
                found.append((file, _size_defect(labels, image['img'], path)))
            found.append((file, defect))
        return [(file, defect) for file, defect in found if defect is not None]

    def class_defect(self, index: int) -> str | None:
        """Return the defect of a sample's class, if any.

        Args:
            index (int): The index of the sample.
        """
        return class_label_defect(
            self.samples[index].get('gt_label'), self.num_classes
        )


def sample_check(
    dataset: BaseDataset,
    num_classes: int | None = None,
    ignore_index: int = 255,
) -> SampleCheck:
    """Return the check of a dataset's samples, loaded as its pipeline does.

    Args:
        dataset (BaseDataset): The dataset, not a wrapper of others.
        num_classes (int, optional): The number of classes ``K`` of a dataset
            that names none. Defaults to None: unknown.
        ignore_index (int): The label of pixels without annotation.
            Defaults to 255.

    Returns:
        SampleCheck: Without samples if the dataset draws its images, keeps
        them in memory, or reads them from the network.
    """
    classes = dataset.metainfo.get('classes')
    first = dataset.get_data_info(0) if len(dataset) else {}
    on_disk = 'img' not in first and '://' not in first.get('img_path', '://')
    return SampleCheck(
        samples=[dataset.get_data_info(i) for i in range(len(dataset))]
        if on_disk
        else [],
        load_image=_transform(dataset, 'LoadImage') or LoadImageFromFile(),
        load_labels=_transform(dataset, 'LoadAnnotations'),
        num_classes=num_classes if classes is None else len(classes),
        ignore_index=ignore_index,
    )


def _transform(dataset: BaseDataset, name: str) -> Any:
    for transform in dataset.pipeline.transforms:
        if any(k.__name__.startswith(name) for k in type(transform).__mro__):
            return transform
    return None


def _decode(
    path: str, load: Callable[[], dict | None]
) -> tuple[dict | None, str | None]:
    """Return the array that a transform loads, or the defect of the file."""
    defect = file_defect(path)
    if defect is not None:
        return None, defect
    try:
        loaded, reason = load(), 'the transform returns nothing'
    except UNDECODABLE as error:
        loaded, reason = None, str(error).strip().split('\n')[0]
        reason = reason or type(error).__name__
    return loaded, None if loaded else f'cannot be decoded ({reason})'


def _size_defect(
    labels: np.ndarray, image: np.ndarray, path: str
) -> str | None:
    """Return whether an annotation has another size than its image."""
    if labels.ndim != 2 or labels.shape == image.shape[:2]:
        return None
    (h, w), (height, width) = labels.shape, image.shape[:2]
    return f'has {w}×{h} pixels, but its image {path} has {width}×{height}'
