"""The five fine-grained (FGVC) data sets, read from VPT's JSON lists."""

import os.path as osp
from collections.abc import Sequence

from mmpretrain.datasets import BaseDataset

from mmdavpt.errors import UsageError
from mmdavpt.registry import DATASETS

from .lists import (
    ClassId,
    find_image_dir,
    label_map,
    read_class_names,
    read_list,
)
from .sets import SETS, SPLITS, FGVCSet, default_root, set_from

__all__ = ['FGVC', 'FGVCSet', 'SETS', 'SPLITS', 'default_root', 'set_from']


@DATASETS.register_module()
class FGVC(BaseDataset):
    """A fine-grained data set with the lists that VPT introduced.

    ``train.json``, ``val.json`` and ``test.json`` in ``data_root`` hold
    ``{"image path": class id}``. The class ids of the training list, sorted,
    get the labels 0, 1, ...; the other lists use the same labels, also where
    they lack a class. The paths are relative to ``data_root``, or to one of
    the folders of ``SETS[name].image_dirs``, whichever holds the first image
    of the list. No image is opened here.

    Args:
        name (str): 'cub', 'nabirds', 'flowers', 'dogs', 'cars', or an alias.
        split (str): 'train', 'val', 'trainval' (both of these) or 'test'.
        data_root (str, optional): The folder of the lists. Defaults to None:
            the set's folder, or one named by an alias, in ``data/fgvc``.
        pipeline (Sequence): Transforms. Defaults to ().
        check_size (bool): Whether to compare the number of images and of
            classes with the published ones. Defaults to True.
        data_prefix (str): The folder that the image paths are relative to,
            itself relative to ``data_root`` or absolute. Defaults to '': it
            is searched.
        **kwargs: Of :class:`mmpretrain.datasets.BaseDataset`. Class names
            given there replace those of ``classes.json`` or ``classes.txt``
            in ``data_root``.

    Raises:
        UsageError: If the name or the split is unknown; if a list is missing
            or malformed, has another size, a class that the training list
            lacks, or an image of the training list; or if no folder holds
            the first image.
    """

    def __init__(
        self,
        name: str,
        split: str,
        data_root: str | None = None,
        pipeline: Sequence = (),
        check_size: bool = True,
        data_prefix: str = '',
        **kwargs,
    ) -> None:
        self.fgvc_set = set_from(name)
        if split not in SPLITS:
            raise UsageError(
                f'the split should be one of {list(SPLITS)}, but got {split!r}'
            )
        self.split = split
        self.check_size = check_size
        self._searched = not data_prefix
        super().__init__(
            ann_file='',
            data_root=osp.expanduser(data_root)
            if data_root
            else default_root(self.fgvc_set),
            data_prefix=data_prefix,
            pipeline=pipeline,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Read the list and find the folder of its images."""
        if not osp.isdir(self.data_root):
            raise UsageError(
                f'the folder {self.data_root} of {self.fgvc_set.title} does '
                'not exist; link the data there, or give its data_root '
                '(docs/data.md shows the layout)'
            )
        train = self._read('train')
        labels = label_map(train.values())
        self._check_classes(labels)
        if 'classes' not in self._metainfo:
            names = read_class_names(self.data_root, list(labels))
            self._metainfo['classes'] = tuple(names)
        entries = {}
        for part in SPLITS[self.split]:
            if part != 'train':
                other = self._read(part)
                self._check_against_train(part, other, train)
                self._check_apart(part, other)
                entries.update(other)
            else:
                entries.update(train)
        folder = self._image_dir(next(iter(entries)))
        self.data_prefix['img_path'] = folder
        return [
            dict(img_path=osp.join(folder, image), gt_label=labels[class_id])
            for image, class_id in entries.items()
        ]

    def _list_path(self, part: str) -> str:
        return osp.join(self.data_root, f'{part}.json')

    def _read(self, part: str) -> dict[str, ClassId]:
        entries = read_list(self._list_path(part))
        wanted = self.fgvc_set.sizes[part]
        if self.check_size and len(entries) != wanted:
            raise UsageError(
                f'{self._list_path(part)} lists {len(entries)} images, but '
                f'{self.fgvc_set.title} has {wanted} in it; replace it by the '
                'whole list, or read another selection with check_size=False'
            )
        return entries

    def _check_classes(self, labels: dict[ClassId, int]) -> None:
        wanted = self.fgvc_set.num_classes
        if self.check_size and len(labels) != wanted:
            raise UsageError(
                f'{self._list_path("train")} has images of {len(labels)} '
                f'classes, but {self.fgvc_set.title} has {wanted}; replace it '
                'by the whole list, or read another selection with '
                'check_size=False'
            )

    def _check_against_train(
        self, part: str, other: dict[str, ClassId], train: dict[str, ClassId]
    ) -> None:
        path = self._list_path(part)
        known = set(train.values())
        for image, class_id in other.items():
            if class_id not in known:
                raise UsageError(
                    f'{path} gives {image!r} the class {class_id!r}, of which '
                    f'{self._list_path("train")} has no image; use lists that '
                    'were made together'
                )
        both = train.keys() & other.keys()
        if both:
            raise UsageError(
                f'{path} shares {len(both)} images, such as {min(both)!r}, '
                f'with {self._list_path("train")}; use lists that were made '
                'together'
            )

    def _check_apart(self, part: str, entries: dict[str, ClassId]) -> None:
        """Check that no image is for validation and for the test."""
        other = 'test' if part == 'val' else 'val'
        path = self._list_path(other)
        if not osp.isfile(path):
            return
        both = entries.keys() & read_list(path).keys()
        if both:
            raise UsageError(
                f'{self._list_path(part)} shares {len(both)} images, such as '
                f'{min(both)!r}, with {path}; use lists that were made '
                'together'
            )

    def _image_dir(self, image: str) -> str:
        if self._searched:
            candidates = self.fgvc_set.image_dirs
            wanted = f'is neither in {self.data_root} nor in its folders ' + (
                ' and '.join(repr(c) for c in candidates if c)
            )
        else:
            candidates = (self.data_prefix['img_path'],)
            wanted = f'is not in {candidates[0]}'
        folder = find_image_dir(
            '' if not self._searched else self.data_root, image, candidates
        )
        if folder is None:
            raise UsageError(
                f'the first image of the {self.split} split, {image!r}, '
                f'{wanted}; put the images there, or name their folder with '
                'data_prefix'
            )
        return folder

    def extra_repr(self) -> list[str]:
        """Return the lines that tell this dataset from others."""
        return [
            f'Set and split: \t{self.fgvc_set.title}, {self.split}',
            f'Root of dataset: \t{self.data_root}',
            f'Prefix of images: \t{self.img_prefix}',
        ]
