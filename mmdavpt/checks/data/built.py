"""Build the datasets of a config, and list the files of their samples."""

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope

from mmdavpt.checks.introspection import arguments_of, find_types, walk
from mmdavpt.errors import UsageError


@dataclass(frozen=True)
class BuiltDataset:
    """A dataset of a config, not a wrapper of others.

    Args:
        split (str): 'train', 'val' or 'test'.
        path (str): Its path in the config.
        dataset (BaseDataset): The dataset.
        classes (tuple[str, ...]): Names of the classes, or numbers of a head
            if the dataset names none. () if both are unknown.
        ignore_index (int): The label of pixels without annotation.
    """

    split: str
    path: str
    dataset: BaseDataset
    classes: tuple[str, ...]
    ignore_index: int

    @cached_property
    def samples(self) -> list[dict]:
        """The samples; none if no image files are read, or by own loaders."""
        dataset = self.dataset
        first = dataset.get_data_info(0)
        if 'img' in first or '://' in first.get('img_path', '://'):
            return []
        loads = [t for t in self.transforms if _name(t).startswith('Load')]
        if loads and self.find_transform('LoadImage') is None:
            return []
        return [dataset.get_data_info(i) for i in range(len(dataset))]

    @cached_property
    def load_image(self) -> Callable[[dict], dict | None]:
        """The transform that loads an image."""
        return self.find_transform('LoadImage') or LoadImageFromFile()

    @cached_property
    def load_labels(self) -> Callable[[dict], dict | None] | None:
        """The transform that loads pixel labels; None if none does."""
        return self.find_transform('LoadAnnotations', 'LoadMasks')

    @cached_property
    def images(self) -> list[str]:
        """The image file of each sample."""
        return [sample['img_path'] for sample in self.samples]

    @cached_property
    def labels(self) -> list[str]:
        """The label file of each sample; '' for one without."""
        read = self.load_labels is not None
        return [read and s.get('seg_map_path') or '' for s in self.samples]

    def files(self, index: int) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return path and reader of a sample's image, and of its labels.

        Args:
            index (int): The index of the sample.
        """
        image, label = self.images[index], self.labels[index]
        return (image, self.readers[0]), (label, self.readers[1])

    @cached_property
    def class_labels(self) -> list[tuple[int, ...]]:
        """The classes of each image; () if it has none."""
        labels = (sample.get('gt_label') for sample in self.samples)
        return [
            () if k is None else tuple(int(c) for c in np.atleast_1d(k))
            for k in labels
        ]

    @cached_property
    def readers(self) -> tuple[str, str]:
        """Identifiers of the loaders of images and labels."""
        options = [
            (_name(load), sorted(vars(load).items(), key=str)) if load else ''
            for load in (self.load_image, self.load_labels)
        ]
        return _identifier(options[0]), _identifier([options[1], self.renumbering])

    @property
    def renumbering(self) -> list:
        """Settings of the dataset that change the loaded label values."""
        first = self.samples[0] if self.samples else {}
        return [first.get(k) or None for k in ('reduce_zero_label', 'label_map')]

    def find_transform(self, *names: str) -> Any:
        """Return the first transform whose name starts so, None if none.

        Args:
            *names (str): Beginnings of names.
        """
        for transform in self.transforms:
            if _name(transform).startswith(names):
                return transform
        return None

    @property
    def transforms(self) -> list[Any]:
        """The transforms of the pipeline."""
        return self.dataset.pipeline.transforms


def build_datasets(cfg: dict, split: str) -> list[BuiltDataset]:
    """Build the datasets of a split, without their wrappers.

    Datasets that can download their data are skipped.

    Args:
        cfg (dict): The config.
        split (str): 'train', 'val' or 'test'; may be missing in the config.

    Raises:
        UsageError: If a dataset cannot be built, or lists no images.
    """
    node = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    model = cfg.get('model') or {}
    head = model.get('decode_head') or model.get('head') or {}
    head = head[-1] if isinstance(head, (list, tuple)) else head
    number = head.get('num_classes', model.get('num_classes')) or 0
    ignored = head.get('ignore_index', 255)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        found = list(_build(node, f'{split}_dataloader.dataset'))
    built = []
    for path, dataset in found:
        if not len(dataset):
            suffix = getattr(dataset, 'img_suffix', '')
            raise UsageError(
                f'{path} lists no images{suffix and f" that end in {suffix}"}'
                '; check img_suffix, data_root, data_prefix and ann_file'
            )
        names = dataset.metainfo.get('classes') or map(str, range(number))
        built.append(
            BuiltDataset(split, path, dataset, tuple(names), ignored)
        )
    return built


def _name(transform: Any) -> str:
    return type(transform).__name__


def _identifier(options: object) -> str:
    return hashlib.blake2b(repr(options).encode(), digest_size=4).hexdigest()


def _build(node: Any, path: str) -> Iterator[tuple[str, BaseDataset]]:
    """Build a dataset, and yield those inside wrappers with their paths."""
    node = copy.deepcopy(node)
    for _, part in walk(node):
        for kind in find_types(part.get('type', dict)):
            if 'download' in arguments_of(kind)[0]:
                return
            if 'serialize_data' in arguments_of(kind)[0]:
                # An empty list cannot be serialized.
                part['serialize_data'] = False
    try:
        dataset = DATASETS.build(node) if node else None
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except UsageError as error:
        raise UsageError(f'{path}: {error}') from error
    except Exception as error:
        missing = getattr(error, 'filename', None)
        reason = str(error).strip() or type(error).__name__
        if missing:
            reason = f'{missing} does not exist (looked in {Path.cwd()})'
            if '~' in Path(missing).parts:
                reason += "; '~' is not expanded, so write the full path"
        raise UsageError(
            f'{path} cannot be read: {reason}; docs/data.md shows where the '
            'data comes from and its layout; to name another folder, use '
            f'--cfg-options {path}.data_root=FOLDER'
        ) from error
    yield from _inside_wrappers(dataset, path)


def _inside_wrappers(
    dataset: Any, path: str
) -> Iterator[tuple[str, BaseDataset]]:
    for i, inner in enumerate(getattr(dataset, 'datasets', ())):
        yield from _inside_wrappers(inner, f'{path}.datasets.{i}')
    if hasattr(dataset, 'dataset'):
        yield from _inside_wrappers(dataset.dataset, f'{path}.dataset')
    elif isinstance(dataset, BaseDataset):
        yield path, dataset
