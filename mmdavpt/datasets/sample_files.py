"""The files that a dataset's samples load, and how."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset

from .file_record import FileRecord, read_file
from .load_masks import LoadMasks

#: Path and identifier of the loader of a file.
Key = tuple[str, str]


@dataclass(frozen=True)
class SampleFiles:
    """The files of a dataset's samples.

    Args:
        dataset (BaseDataset): The dataset, not a wrapper of others.
    """

    dataset: BaseDataset

    @cached_property
    def samples(self) -> list[dict]:
        """The samples; none if no image files are read, or by own loaders."""
        first = self.dataset.get_data_info(0)
        on_disk = 'img' not in first and '://' not in first.get(
            'img_path', '://'
        )
        loads = self._transform('LoadImage') or not self._transform('Load')
        number = len(self.dataset) if on_disk and loads else 0
        return [self.dataset.get_data_info(i) for i in range(number)]

    @cached_property
    def load_image(self) -> Callable[[dict], dict | None]:
        """The transform that loads an image."""
        return self._transform('LoadImage') or LoadImageFromFile()

    @cached_property
    def load_labels(self) -> Callable[[dict], dict | None] | None:
        """The transform that loads pixel labels; None if none does."""
        return self._transform('LoadAnnotations')

    @property
    def maps_values(self) -> bool:
        """True if label values are mapped and checked while loading."""
        return isinstance(self.load_labels, LoadMasks)

    @property
    def renumbering(self) -> list:
        """Settings of the dataset that change the loaded label values."""
        keys = ('reduce_zero_label', 'label_map')
        return [self.samples[0].get(k) or None for k in keys if self.samples]

    @cached_property
    def images(self) -> list[Key]:
        """Image file and loader of each sample."""
        reader = _identifier(self.load_image)
        return [(sample['img_path'], reader) for sample in self.samples]

    @cached_property
    def labels(self) -> list[Key]:
        """Label file and loader of each sample; () if none are loaded."""
        paths = [sample.get('seg_map_path') or '' for sample in self.samples]
        if self.load_labels is None or not any(paths):
            return []
        reader = _identifier(self.load_labels, self.renumbering)
        return [(path, reader) for path in paths]

    @cached_property
    def classes(self) -> list[tuple[int, ...]]:
        """The classes of each image; () if it has none."""
        labels = (sample.get('gt_label') for sample in self.samples)
        return [
            () if k is None else tuple(int(c) for c in np.atleast_1d(k))
            for k in labels
        ]

    @property
    def crop(self) -> tuple[int, int]:
        """Width and height of a crop; zeros without or after a resizing."""
        for transform in self.dataset.pipeline.transforms:
            if 'Resize' in type(transform).__name__:
                break
            if (size := getattr(transform, 'crop_size', None)) is not None:
                height, width = np.broadcast_to(size, 2).tolist()
                return width, height
        return 0, 0

    def work(
        self, indices: Iterable[int], images: bool = True
    ) -> dict[Key, Callable[[], FileRecord]]:
        """Return a function for each file that decodes it.

        Args:
            indices (Iterable[int]): The samples.
            images (bool): Whether to decode images, not only labels.
                Defaults to True.
        """
        work = {}
        for i in indices:
            sample = dict(self.samples[i], seg_fields=[])
            if images:
                path, reader = key = self.images[i]
                load = partial(self.load_image, dict(sample))
                work[key] = partial(read_file, path, load, reader)
            if self.labels and self.labels[i][0]:
                path, reader = key = self.labels[i]
                load = partial(self.load_labels, dict(sample))
                work[key] = partial(read_file, path, load, reader)
        return work

    def _transform(self, name: str) -> Any:
        """Return the first transform whose class or parent starts so."""
        for transform in self.dataset.pipeline.transforms:
            kinds = [kind.__name__ for kind in type(transform).__mro__]
            if any(kind.startswith(name) for kind in kinds):
                return transform
        return None


def _identifier(load: object, *more: object) -> str:
    options = sorted(vars(load).items(), key=str)
    text = repr((type(load).__name__, options, *more))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
