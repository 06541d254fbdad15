"""Reader of images in one folder for each class."""

import os.path as osp
import re
from collections import defaultdict

from mmpretrain.datasets import CustomDataset

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

#: Names of folders that hold a split, not a class.
SPLITS = {'train', 'training', 'val', 'valid', 'validation', 'test', 'testing'}


@DATASETS.register_module()
class ImageFolder(CustomDataset):
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
        with_label (bool): Whether images have a class. Without, all images in
            all folders are used. Defaults to True.
        **kwargs: See :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UsageError: If a folder or the list cannot be read, a folder is no
            class, a line of the list is malformed, or there is no image.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str | dict = '',
        ann_file: str = '',
        with_label: bool = True,
        **kwargs,
    ) -> None:
        self.skipped: dict[str, list[str]] = {}
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            ann_file=ann_file,
            with_label=with_label,
            extensions=(),
            **kwargs,
        )

    def _compat_classes(self, metainfo: dict | None, classes: object) -> dict:
        """Check the names of the classes."""
        metainfo = dict(metainfo or {})
        names = metainfo.get('classes', classes)
        if names is not None:
            metainfo['classes'] = class_names(names)
        return metainfo

    def load_data_list(self) -> list[dict]:
        """Find the images of the folders, or read the list."""
        root = self.img_prefix
        if self.ann_file:
            samples = self._read_list()
        else:
            samples = self._find_images()
            log_skipped(root, self.skipped)
        if not self.with_label:
            return [dict(img_path=osp.join(root, p)) for p, _ in samples]
        return [
            dict(img_path=osp.join(root, path), gt_label=label)
            for path, label in samples
        ]

    def _find_images(self) -> list[tuple[str, int]]:
        """Return path and class of all images."""
        root, by_class = self.img_prefix, defaultdict(list)
        files, folders, hidden = list_files(root)
        backend = loading_backend(self.pipeline.transforms)
        images, other = split_readable(root, files, backend)
        outside = []
        if self.with_label:
            self._number_folders([f for f in folders if '/' not in f])
            outside = [file for file in images if '/' not in file]
        for image in images:
            folder, slash, _ = image.partition('/')
            if slash or not self.with_label:
                by_class[folder if self.with_label else ''].append(image)
        skipped = {
            'hidden': hidden,
            f'in no format that {backend} reads': other,
            'in no folder of a class': outside,
        }
        self.skipped = {
            reason: [osp.join(root, path) for path in paths]
            for reason, paths in skipped.items()
            if paths
        }
        if not by_class:
            what = 'a folder for each class with' if self.with_label else ''
            raise UsageError(
                f'{root} should have {what} images, but there is none'
                + ''.join(
                    f'; {len(paths)} files are {reason} ({first_few(paths)})'
                    for reason, paths in skipped.items()
                    if paths
                )
            )
        label_of = getattr(self, 'folder_to_idx', {})
        return [
            (image, label_of.get(normalize_name(folder)))
            for folder in sorted(by_class, key=normalize_name)
            for image in by_class[folder]
        ]

    def _number_folders(self, folders: list[str]) -> None:
        """Number the classes and check that each folder is one of them."""
        names = sorted(normalize_name(folder) for folder in folders)
        classes = self.CLASSES
        if classes is None:
            if names and {name.lower() for name in names} <= SPLITS:
                raise UsageError(
                    f'the folders of {self.img_prefix} are splits, not '
                    f'classes: {first_few(names)}; set data_prefix to one '
                    'of them'
                )
            lower = {name.lower(): name for name in names}
            for name in names:
                if lower[name.lower()] != name:
                    raise UsageError(
                        f'the folders {name!r} and {lower[name.lower()]!r} of '
                        f'{self.img_prefix} differ only in case; merge them, '
                        'or list both in metainfo.classes'
                    )
            classes = self._metainfo['classes'] = tuple(names)
        for name in names:
            if name not in map(normalize_name, classes):
                raise UsageError(
                    f'the folder {name!r} of {self.img_prefix} is none of the '
                    f'{len(classes)} classes in metainfo.classes'
                    + did_you_mean(name, classes)
                )
        self.folder_to_idx = {
            normalize_name(name): k for k, name in enumerate(classes)
        }

    def _read_list(self) -> list[tuple[str, int]]:
        """Return path and class of the images that a list selects."""
        lines = read_list(self.ann_file)
        if not self.with_label:
            return [(line, None) for _, line in lines]
        names = self.CLASSES or ()
        parts = [split_label(line, names) for _, line in lines]
        labelled = parts[0][1] is not None
        if not labelled:
            folders = list_files(self.img_prefix)[1]
            self._number_folders([f for f in folders if '/' not in f])
        samples = []
        for (place, line), (path, label) in zip(lines, parts, strict=True):
            if (label is not None) != labelled:
                raise UsageError(
                    f'{place}: {line!r} has {"a" if label else "no"} label, '
                    'unlike the first line; give each path a label, or none'
                )
            samples.append((path, self._label(place, path, label)))
        return samples

    def _label(self, place: str, path: str, label: str | None) -> int:
        """Return the number of a class that a list names."""
        names = [normalize_name(name) for name in self.CLASSES or ()]
        if label is None:
            folder = normalize_name(osp.normpath(path).partition('/')[0])
            if folder in names:
                return names.index(folder)
            raise UsageError(
                f'{place}: {path!r} should begin with the folder of a class, '
                'or be followed by a space and the number or name of a class'
                + did_you_mean(folder, names)
            )
        label = normalize_name(label)
        number = int(label) if label.isdecimal() else None
        if label in names:
            if number not in (None, names.index(label)):
                raise UsageError(
                    f'{place}: {label} may be the name or the number of a '
                    'class; list only paths, or rename the classes'
                )
            return names.index(label)
        if number is None or names and number >= len(names):
            raise UsageError(
                f'{place}: {label!r} is neither the name of a class nor a '
                f'number from 0 to {len(names) - 1}'
                + did_you_mean(label, names)
            )
        return number


def split_label(line: str, names: tuple[str, ...]) -> tuple[str, str | None]:
    """Split a line of a list into path and label.

    Args:
        line (str): Such as 'my photos/a.jpg traffic light'.
        names (tuple[str, ...]): The names of classes, which may have spaces.

    Returns:
        tuple[str, str | None]: The path, and the number or name of the class
        after a tab or space; None if there is none.
    """
    if '\t' in line:
        path, _, label = line.partition('\t')
        return path.strip(), label.strip()
    for space in re.finditer(' +', line):
        rest = normalize_name(line[space.end() :])
        if rest in names or re.fullmatch(r'-?\d+', rest):
            return line[: space.start()], rest
    return line, None
