"""The check of one sample: its image and its labels are decoded."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .image_files import BROKEN, file_defect
from .label_check import (
    annotation_defect,
    class_label_defect,
    load_annotation,
    wide_value_defect,
)

#: What the backends of ``LoadImageFromFile`` raise for a broken image.
UNDECODABLE = (*BROKEN, AssertionError, TypeError, cv2.error)


@dataclass
class SampleCheck:
    """What the samples of one dataset are checked for.

    Args:
        samples (list[dict]): What the dataset lists.
        load_image (Callable): The transform that loads an image.
        load_labels (Callable, optional): The one that loads an annotation.
            Defaults to None: annotations are not read.
        num_classes (int, optional): The number of classes ``K``. Defaults to
            None: it is not known.
        ignore_index (int): The label of pixels without annotation.
            Defaults to 255.
    """

    samples: list[dict]
    load_image: Callable[[dict], dict | None]
    load_labels: Callable[[dict], dict] | None = None
    num_classes: int | None = None
    ignore_index: int = 255

    def defects(self, index: int) -> list[tuple[str, str]]:
        """Return what is wrong with a sample.

        Args:
            index (int): Its place among the samples.

        Returns:
            list[tuple[str, str]]: File and defect, as ('a.jpg', 'is empty (0
            bytes)').
        """
        info = self.samples[index]
        path, labels_path = info['img_path'], info.get('seg_map_path')
        image, defect = _decode(path, lambda: self._image(info))
        found = [
            (path, defect),
            (path, self.class_defect(info)),
        ]
        if self.load_labels is not None and labels_path is not None:
            labels, defect = _decode(labels_path, lambda: self._labels(info))
            found.append((labels_path, defect))
            if labels is not None:
                defect = self.label_defect(info, labels)
                found.append((labels_path, defect))
            if labels is not None and image is not None:
                found.append((labels_path, _size_defect(labels, image, path)))
        return [(file, defect) for file, defect in found if defect is not None]

    def class_defect(self, info: dict) -> str | None:
        """Return what is wrong with the class of a sample, if anything.

        Args:
            info (dict): The sample.
        """
        return class_label_defect(info.get('gt_label'), self.num_classes)

    def label_defect(self, info: dict, labels: np.ndarray) -> str | None:
        """Return what is wrong with the values of an annotation.

        Args:
            info (dict): The sample.
            labels (np.ndarray): As they are loaded, with shape (H, W).

        Returns:
            str | None: What is wrong; None if nothing.
        """
        return wide_value_defect(info['seg_map_path']) or annotation_defect(
            labels,
            self.num_classes,
            self.ignore_index,
            info.get('reduce_zero_label', False),
        )

    def annotation_defects(self, index: int) -> list[tuple[str, str]]:
        """Return what is wrong with the values of a sample's annotation.

        Args:
            index (int): Its place among the samples.

        Returns:
            list[tuple[str, str]]: File and defect; none without annotation.
        """
        info = self.samples[index]
        path = info.get('seg_map_path')
        if self.load_labels is None or path is None:
            return []
        labels, defect = _decode(path, lambda: self._labels(info))
        if defect is None:
            defect = self.label_defect(info, labels)
        return [] if defect is None else [(path, defect)]

    def _image(self, info: dict) -> np.ndarray:
        loaded = self.load_image(dict(info))
        if loaded is None:
            raise ValueError('the loader gives nothing')
        return loaded['img']

    def _labels(self, info: dict) -> np.ndarray:
        return load_annotation(self.load_labels, info)


def _decode(
    path: str, load: Callable[[], np.ndarray]
) -> tuple[np.ndarray | None, str | None]:
    """Return what a file holds, or what is wrong with it."""
    defect = file_defect(path)
    if defect is not None:
        return None, defect
    try:
        return load(), None
    except UNDECODABLE as error:
        reason = str(error).strip().split('\n')[0]
        return None, f'cannot be decoded ({reason or type(error).__name__})'


def _size_defect(
    labels: np.ndarray, image: np.ndarray, path: str
) -> str | None:
    """Return whether an annotation has another size than its image."""
    if labels.shape[:2] == image.shape[:2]:
        return None
    (h, w), (height, width) = labels.shape[:2], image.shape[:2]
    return f'has {w}×{h} pixels, but its image {path} has {width}×{height}'
