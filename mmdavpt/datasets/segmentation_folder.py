"""Reader of a folder of images and a folder of their masks."""

import colorsys
import os.path as osp

from mmseg.datasets import BaseSegDataset

from mmdavpt.errors import UsageError, did_you_mean, first_few
from mmdavpt.registry import DATASETS

from .folder_files import (
    list_files,
    loading_backend,
    log_skipped,
    normalize_name,
    split_readable,
)
from .list_files import class_names, read_list


@DATASETS.register_module()
class SegmentationFolder(BaseSegDataset):
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
        ann_file: str = '',
        img_suffix: str = '',
        seg_map_suffix: str = '',
        metainfo: dict | None = None,
        **kwargs,
    ) -> None:
        self.skipped: dict[str, list[str]] = {}
        metainfo = dict(metainfo or {})
        if metainfo.get('classes') is not None:
            metainfo['classes'] = class_names(metainfo['classes'])
            metainfo.setdefault('palette', palette(len(metainfo['classes'])))
        if data_prefix is None:
            data_prefix = dict(img_path='images', seg_map_path='labels')
        super().__init__(
            data_root=data_root,
            data_prefix={k: v for k, v in data_prefix.items() if v},
            ann_file=ann_file,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            metainfo=metainfo,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Pair the images with their masks."""
        images = self._by_name('img_path', self.img_suffix)
        root = self.data_prefix['img_path']
        if 'seg_map_path' in self.data_prefix:
            masks = self._by_name('seg_map_path', self.seg_map_suffix)
        elif self.test_mode:
            masks = None
        else:
            raise UsageError(
                f'{root} has images for training, which need masks; set '
                'data_prefix.seg_map_path'
            )
        names = self._listed(images) if self.ann_file else sorted(images)
        if masks is not None:
            self._check_partners(names, images, masks)
        log_skipped(self.data_root or root, self.skipped)
        common = dict(
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )
        return [
            dict(img_path=images[name], **common)
            | (dict(seg_map_path=masks[name]) if masks is not None else {})
            for name in names
        ]

    def _by_name(self, key: str, suffix: str) -> dict[str, str]:
        """Return the name of each image or mask of a folder to its file."""
        root = self.data_prefix[key]
        backend = 'pillow'
        if key == 'img_path':
            backend = loading_backend(self.pipeline.transforms)
        files, _, hidden = list_files(root)
        read, other = split_readable(root, files, backend)
        found, unnamed = {}, []
        for file in read:
            stem = osp.splitext(file)[0]
            if not stem.endswith(suffix):
                unnamed.append(file)
                continue
            name = normalize_name(stem.removesuffix(suffix))
            path = osp.join(root, file)
            if found.setdefault(name, path) != path:
                raise UsageError(
                    f'{found[name]} and {path} have the same name; remove '
                    'one of them'
                )
        for reason, paths in (
            ('hidden', hidden),
            (f'in no format that {backend} reads', other),
            (f'without {suffix!r} at the end of their names', unnamed),
        ):
            if paths:
                self.skipped.setdefault(reason, []).extend(
                    osp.join(root, path) for path in paths
                )
        if not found:
            raise UsageError(
                f'{root} should have images, but there is none'
                + ''.join(
                    f'; {len(paths)} files are {reason} '
                    f'({first_few(map(osp.basename, paths))})'
                    for reason, paths in self.skipped.items()
                )
            )
        return found

    def _listed(self, images: dict[str, str]) -> list[str]:
        """Return the names of the images that the list selects."""
        names = []
        for place, line in read_list(self.ann_file):
            stem = osp.splitext(line)[0].removesuffix(self.img_suffix)
            choices = map(normalize_name, (line, stem))
            name = next((name for name in choices if name in images), None)
            if name is None:
                raise UsageError(
                    f'{place}: {line!r} is no image in '
                    f'{self.data_prefix["img_path"]}'
                    + did_you_mean(line, images)
                )
            names.append(name)
        return names

    def _check_partners(
        self, names: list[str], images: dict[str, str], masks: dict[str, str]
    ) -> None:
        """Check that each image has a mask, and note masks without one."""
        alone = [name for name in names if name not in masks]
        free = [mask for name, mask in masks.items() if name not in images]
        if alone:
            raise UsageError(
                f'{len(alone)} of {len(names)} images have no mask: '
                f'{images[alone[0]]} needs '
                f'{self.data_prefix["seg_map_path"]}/{alone[0]}'
                f'{self.seg_map_suffix}.png, or another format'
                + (
                    f'; masks without an image: {first_few(free)}; set '
                    'img_suffix or seg_map_suffix if their names end in '
                    'other ways'
                    if free
                    else ''
                )
            )
        if free:
            self.skipped['masks without an image'] = free


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
