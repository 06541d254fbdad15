"""Reader of a folder of images and a folder of their masks."""

import colorsys
import os.path as osp

from mmseg.datasets import BaseSegDataset

from mmdavpt.errors import UsageError, did_you_mean, first_few
from mmdavpt.registry import DATASETS

from .folder_files import normalize_name
from .folder_reader import FolderReader
from .list_files import class_names, read_list


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
            metainfo['classes'] = class_names(metainfo['classes'])
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
        for place, line in read_list(self.ann_file):
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
