"""Readers of images in folders of classes, or next to their masks."""

import colorsys
import os.path as osp

from mmpretrain.datasets import CustomDataset
from mmseg.datasets import BaseSegDataset

from mmdavpt.errors import UsageError, did_you_mean, first_few
from mmdavpt.registry import DATASETS

from . import list_files as lists
from .folder_reader import FolderReader
from .image_files import list_files, normalize_name

#: Names of folders that hold a split, not a class.
SPLITS = {'train', 'training', 'val', 'valid', 'validation', 'test', 'testing'}


@DATASETS.register_module()
class ImageFolder(FolderReader, CustomDataset):
    """Images in one folder for each class, in any format that can be loaded.

    Reads ``ROOT/CLASS/**/IMAGE``, where ``ROOT`` is ``data_prefix`` in
    ``data_root``, on a local disk. Each image that the ``LoadImageFromFile``
    of the pipeline can decode is used, whatever the case of its extension.
    Hidden files and folders are left out. ``skipped`` lists all files that
    are not used by reason, and one line of the log counts them.

    The classes are ``metainfo['classes']``, or else the names of the folders
    in the order of ``sorted``, as in
    :class:`mmpretrain.datasets.CustomDataset`: '10' is before '2', and 'B'
    before 'a'. A listed class needs no folder, but each folder has to be a
    class.

    Args:
        data_root (str): Folder of all splits. Defaults to ''.
        data_prefix (str | dict): Folder of this split in it. Defaults to ''.
        ann_file (str): A list that selects images, in ``data_root``. Its
            lines are all ``PATH``, with the class's folder first, or all
            ``PATH LABEL``, with a space or tab between, where ``LABEL`` is
            the number or the name of a class in ``metainfo``. Paths are
            relative to ``ROOT`` and may contain spaces. Defaults to '': all
            images.
        **kwargs: See :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UsageError: If a folder or the list cannot be read, a folder is no
            class, a line of the list is malformed, or there is no image.
    """

    expected = ' in a folder for each class'

    def __init__(self, *args, **kwargs) -> None:
        self.skipped = {}
        super().__init__(*args, with_label=True, extensions=(), **kwargs)

    def _compat_classes(self, metainfo: dict | None, classes: object) -> dict:
        """Check the names of the classes."""
        metainfo = dict(metainfo or {})
        classes = metainfo.get('classes', classes)
        if classes is not None:
            metainfo['classes'] = lists.class_names(classes)
        return metainfo

    def load_data_list(self) -> list[dict]:
        """Find the images of the folders, or read the list."""
        samples = self._read_list() if self.ann_file else self._find_images()
        return lists.to_samples(self.img_prefix, samples)

    def _find_images(self) -> list[tuple[str, int]]:
        """Return path and class of all images."""
        root = self.img_prefix
        images, folders = self.find_images(root)
        self._number_folders(folders)
        outside = [image for image in images if '/' not in image]
        self.skip('in no folder of a class', root, outside)
        inside = [image for image in images if '/' in image]
        folders = [normalize_name(i.partition('/')[0]) for i in inside]
        numbers = [self.folder_to_idx[folder] for folder in folders]
        samples = [*zip(inside, numbers, strict=True)]
        # By folder: sorting whole paths would put 'a b/' before 'a/'.
        samples.sort(key=lambda s: normalize_name(s[0].partition('/')[0]))
        self.report_skipped(root, samples)
        return samples

    def _number_folders(self, folders: list[str]) -> None:
        """Number the classes, and check that each folder is one of them."""
        root = self.img_prefix
        names = sorted({normalize_name(f) for f in folders if '/' not in f})
        if self.CLASSES is None:
            if names and {name.lower() for name in names} <= SPLITS:
                raise UsageError(
                    f'the folders of {root} are splits, not classes: '
                    f'{first_few(names)}; set data_prefix to one of them'
                )
            self._metainfo['classes'] = tuple(names)
        self.folder_to_idx = self.class_to_idx
        for name in names:
            if name not in self.folder_to_idx:
                raise UsageError(
                    f'the folder {name!r} of {root} is none of the '
                    f'{len(self.CLASSES)} classes in metainfo.classes'
                    + did_you_mean(name, self.CLASSES)
                )

    def _read_list(self) -> list[tuple[str, int]]:
        """Return path and class of the images that a list selects."""
        (_, first), *_ = lists.read_list(self.ann_file)
        if lists.split_label(first, self.CLASSES or ())[1] is None:
            self._number_folders(list_files(self.img_prefix)[1])
        numbers = self.class_to_idx if self.CLASSES else {}
        return [*lists.read_labels(self.ann_file, numbers).items()]


@DATASETS.register_module()
class SegmentationFolder(FolderReader, BaseSegDataset):
    """Images and masks with the same names, in any formats.

    Reads ``images/NAME.*`` with ``labels/NAME.*``, also in the same folders
    inside of both. An image without a mask is an error. ``skipped`` lists the
    files that are not used by reason, and one line of the log counts them.
    Samples are sorted by name.

    Args:
        data_root (str): Folder of the dataset. Defaults to ''.
        data_prefix (dict): The folders in it. Without ``seg_map_path``,
            images have no masks, which ``test_mode`` allows. Defaults to
            dict(img_path='images', seg_map_path='labels').
        ann_file (str): A list that selects images, in ``data_root``: a name
            a line, with or without extension. Defaults to '': all images.
        img_suffix (str): Text between the common name and the extension of
            an image, such as '_leftImg8bit'. Files without it are not used.
            Defaults to ''.
        seg_map_suffix (str): The same for masks, such as '_mask'.
            Defaults to ''.
        metainfo (dict, optional): ``classes`` are the names of the classes or
            a file with one a line. ``palette`` is generated if it is
            missing. Defaults to None.
        **kwargs: See :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        UsageError: If a folder or the list cannot be read, an image has no
            mask, two files have one name, or ``classes`` is a plain text.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: dict | None = None,
        img_suffix: str = '',
        seg_map_suffix: str = '',
        metainfo: dict | None = None,
        **kwargs,
    ) -> None:
        self.skipped = {}
        metainfo = dict(metainfo or {})
        if metainfo.get('classes') is not None:
            metainfo['classes'] = lists.class_names(metainfo['classes'])
            metainfo.setdefault('palette', palette(len(metainfo['classes'])))
        if data_prefix is None:
            data_prefix = dict(img_path='images', seg_map_path='labels')
        super().__init__(
            data_root=data_root,
            data_prefix={k: v for k, v in data_prefix.items() if v},
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            metainfo=metainfo,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Pair the images with their masks."""
        roots, masks = self.data_prefix, None
        images = self._by_name(roots['img_path'], self.img_suffix)
        names = self._listed(images) if self.ann_file else sorted(images)
        if 'seg_map_path' in roots:
            root, suffix = roots['seg_map_path'], self.seg_map_suffix
            masks = self._by_name(root, suffix, 'pillow')
            self._check_partners(names, images, masks)
        self.report_skipped(self.data_root or roots['img_path'], names)
        samples = [dict(img_path=images[name]) for name in names]
        for name, sample in zip(names, samples, strict=True):
            if masks is not None:
                sample['seg_map_path'] = masks[name]
            sample['label_map'] = self.label_map
            sample['reduce_zero_label'] = self.reduce_zero_label
            sample['seg_fields'] = []
        return samples

    def _by_name(self, root: str, suffix: str, *backend: str) -> dict:
        """Return the common name of each image or mask to its path."""
        found, unnamed = {}, []
        for file in self.find_images(root, *backend)[0]:
            stem, path = osp.splitext(file)[0], osp.join(root, file)
            name = normalize_name(stem.removesuffix(suffix))
            if not stem.endswith(suffix):
                unnamed.append(file)
            elif found.setdefault(name, path) != path:
                raise UsageError(
                    f'{found[name]} and {path} have one name; remove one of '
                    'them, or move it'
                )
        self.skip(f'without {suffix!r} in the name', root, unnamed)
        if not found:
            self.report_skipped(root, found)
        return found

    def _listed(self, images: dict[str, str]) -> list[str]:
        """Return the names of the images that a list selects."""
        places = {}
        for place, line in lists.read_list(self.ann_file):
            line = normalize_name(line)
            stem = osp.splitext(line)[0].removesuffix(self.img_suffix)
            name = line if line in images else stem
            if name not in images:
                raise UsageError(
                    f'{place}: {line!r} is no image in '
                    f'{self.data_prefix["img_path"]}'
                    + did_you_mean(line, images)
                )
            if (first := places.setdefault(name, place)) != place:
                where = f'listed before, in {first}'
                raise UsageError(f'{place}: {line} is {where}')
        return list(places)

    def _check_partners(
        self, names: list[str], images: dict[str, str], masks: dict[str, str]
    ) -> None:
        """Check that each image has a mask, and note masks without one."""
        alone = [name for name in names if name not in masks]
        unused = sorted(masks[name] for name in masks.keys() - images.keys())
        if alone:
            expected = alone[0] + self.seg_map_suffix
            raise UsageError(
                f'{len(alone)} of {len(names)} images have no mask: '
                f'{images[alone[0]]} needs {expected}.* in '
                f'{self.data_prefix["seg_map_path"]}'
                + (
                    f', which has {first_few(map(osp.basename, unused))} '
                    'without an image; set img_suffix or seg_map_suffix if '
                    'names end in different ways'
                )
                * bool(unused)
            )
        self.skip('masks without an image', '', unused)


def palette(num_classes: int) -> list[list[int]]:
    """Return a color for each class; neighbors differ most.

    Args:
        num_classes (int): The number of classes.

    Returns:
        list[list[int]]: Red, green and blue, from 0 to 255.
    """
    colors = []
    for k in range(num_classes):
        hue = k * 0.618034 % 1  # the golden ratio spreads hues evenly
        value = 1 - 0.2 * (k // 7 % 4)
        rgb = colorsys.hsv_to_rgb(hue, 0.9 - 0.2 * (k // 28 % 3), value)
        colors.append([round(255 * c) for c in rgb])
    return colors
