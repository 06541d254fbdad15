"""Reader of images in one folder for each class."""

import os.path as osp

from mmpretrain.datasets import CustomDataset

from mmdavpt.errors import UsageError, did_you_mean, first_few
from mmdavpt.registry import DATASETS

from .folder_files import list_files, normalize_name
from .folder_reader import FolderReader
from .list_files import class_names, read_labels, read_list, split_label

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

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str | dict = '',
        ann_file: str = '',
        **kwargs,
    ) -> None:
        self.skipped = {}
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            ann_file=ann_file,
            with_label=True,
            extensions=(),
            **kwargs,
        )

    def _compat_classes(self, metainfo: dict | None, classes: object) -> dict:
        """Check the names of the classes."""
        metainfo = dict(metainfo or {})
        classes = metainfo.get('classes', classes)
        if classes is not None:
            metainfo['classes'] = class_names(classes)
        return metainfo

    def load_data_list(self) -> list[dict]:
        """Find the images of the folders, or read the list."""
        samples = self._read_list() if self.ann_file else self._find_images()
        return [
            dict(img_path=osp.join(self.img_prefix, path), gt_label=label)
            for path, label in samples
        ]

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
        (_, first), *_ = read_list(self.ann_file)
        if split_label(first, self.CLASSES or ())[1] is None:
            self._number_folders(list_files(self.img_prefix)[1])
        numbers = self.class_to_idx if self.CLASSES else {}
        return [*read_labels(self.ann_file, numbers).items()]
