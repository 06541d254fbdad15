"""Reader of the five fine-grained (FGVC) datasets with VPT's JSON lists."""

import os.path as osp

from mmdavpt.errors import UsageError
from mmdavpt.registry import DATASETS

from . import benchmarks
from .list_files import to_samples

#: The splits of every dataset, and the lists that each is read from.
SPLITS: dict[str, tuple[str, ...]] = {
    'train': ('train',),
    'val': ('val',),
    'trainval': ('train', 'val'),
    'test': ('test',),
}

#: The datasets by name. Sizes are those of the lists that VPT published (Jia
#: et al., "Visual Prompt Tuning", ECCV 2022); aliases in capitals are folders
#: in DA-VPT's released code, and the first one is the default folder. The
#: images of Stanford Cars are not in cars_train and cars_test: both number
#: them from 1, so the wrong one may hold an image of the same name.
SETS = benchmarks.read_table('fgvc.csv', tuple(SPLITS))


def set_from(name: str) -> benchmarks.Benchmark:
    """Return a fine-grained dataset by its name, title, folder or alias.

    Args:
        name (str): The name; case and punctuation do not matter.

    Raises:
        UsageError: If there is no such dataset.
    """
    known, kind = SETS.values(), 'the fine-grained dataset'
    return benchmarks.find_by_name(name, known, kind)


#: Class ids of the lists: numbers, or strings such as NABirds' folders.
ClassId = int | str


def read_list(path: str) -> dict[str, ClassId]:
    """Read one list, ``{"image path": class id}``.

    Args:
        path (str): Path of the JSON file.

    Returns:
        dict[str, int | str]: Class ids by image path, in the file's order.

    Raises:
        UsageError: If the file is missing, is not valid JSON, or holds
            anything else.
    """
    entries = benchmarks.read_json(path)
    listed = isinstance(entries, dict)
    if not listed or {*map(type, entries.values())} not in ({int}, {str}):
        raise UsageError(
            f'{path} should be {{"image path": class id, ...}} with class ids '
            'that are all integers or all strings, but is not; make it with '
            'tools/dataset_converters/fgvc_splits.py'
        )
    return entries


@DATASETS.register_module()
class FGVC(benchmarks.BenchmarkDataset):
    """A fine-grained dataset with the lists that VPT introduced.

    ``train.json``, ``val.json`` and ``test.json`` in ``data_root`` hold
    ``{"image path": class id}``. The sorted class ids of the training list
    get the labels 0, 1, ...; the other lists use the same labels, even if
    they lack a class. Image paths are relative to ``data_root`` or to one of
    the folders of ``SETS[name].image_dirs``: the first that holds the first
    image of the list. Images are not opened here.

    Args:
        name (str): 'cub', 'nabirds', 'flowers', 'dogs', 'cars', or an alias.
        split (str): 'train', 'val', 'trainval' (both of these) or 'test'.
        data_root (str, optional): Folder of the lists. Defaults to None: the
            dataset's folder, or one named by an alias, in ``data/fgvc``.
        check_size (bool): Whether to check the number of images and classes
            against the published ones. Defaults to True.
        data_prefix (str): Folder of the image paths, relative to
            ``data_root`` or absolute. Defaults to '': find it.
        **kwargs: See :class:`mmpretrain.datasets.BaseDataset`. Class names
            given there replace those of ``classes.json`` in ``data_root``;
            without either, the class ids serve as names.

    Raises:
        UsageError: If the name or the split is unknown; if a list is missing
            or malformed, has another size, a class that the training list
            lacks, or an image of the training list; or if no folder holds the
            first image.
    """

    def __init__(
        self,
        name: str,
        split: str,
        data_root: str | None = None,
        data_prefix: str = '',
        **kwargs,
    ) -> None:
        known, self._searched = set_from(name), not data_prefix
        root = osp.expanduser(data_root or known.folder_in('data/fgvc'))
        kwargs.update(data_root=root, data_prefix=data_prefix)
        super().__init__(known, split, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the lists of the split and find the folder of its images."""
        if not osp.isdir(self.data_root):
            raise UsageError(
                f'the folder {self.data_root} of {self.benchmark.title} does '
                'not exist; link the data there, or set data_root '
                '(docs/data.md shows the layout)'
            )
        train = self._read('train')
        class_ids = sorted(set(train.values()))
        path, number = self._list_path('train'), self.benchmark.num_classes
        self.check_count(path, len(class_ids), number, 'classes')
        self.name_classes(self._list_path('classes'), class_ids)
        labels = {class_id: label for label, class_id in enumerate(class_ids)}
        entries: dict[str, ClassId] = {}
        for part in SPLITS[self.split]:
            is_train = part == 'train'
            entries |= train if is_train else self._read_other(part, train)
        folder = self._image_dir(next(iter(entries)))
        self.data_prefix['img_path'] = folder
        found = {image: labels[k] for image, k in entries.items()}
        return to_samples(folder, found.items())

    def _list_path(self, part: str) -> str:
        return osp.join(self.data_root, f'{part}.json')

    def _read(self, part: str) -> dict[str, ClassId]:
        entries = read_list(path := self._list_path(part))
        self.check_count(path, len(entries), self.benchmark.sizes[part])
        return entries

    def _read_other(self, part: str, train: dict) -> dict[str, ClassId]:
        """Read 'val' or 'test'; compare it with the training list."""
        entries, path = self._read(part), self._list_path(part)
        known = set(train.values())
        if shared := entries.keys() & train.keys():
            raise UsageError(
                f'{path} shares {len(shared)} images, such as {min(shared)!r},'
                f' with {self._list_path("train")}; use lists that were made '
                'together'
            )
        for image, class_id in entries.items():
            if class_id not in known:
                raise UsageError(
                    f'{path} gives {image!r} the class {class_id!r}, of which '
                    f'{self._list_path("train")} has no image; use lists that '
                    'were made together'
                )
        return entries

    def _image_dir(self, image: str) -> str:
        """Return the first folder that holds an image."""
        folders = [self.data_prefix['img_path']]
        if self._searched:
            inner = self.benchmark.image_dirs
            folders = [osp.join(self.data_root, i).rstrip('/') for i in inner]
        for folder in folders:
            if osp.isfile(osp.join(folder, image)):
                return folder
        raise UsageError(
            f'the first image of the {self.split} split, {image!r}, is not in '
            f'{" or ".join(folders)}; put the images there, or set '
            'data_prefix to their folder'
        )
