"""Read a folder of images: its splits, classes and settings."""

import os.path as osp
from dataclasses import dataclass, field
from pathlib import Path

from mmdavpt.datasets import ImageFolder, SegmentationFolder
from mmdavpt.datasets.folder_files import list_files
from mmdavpt.errors import UsageError, first_few

from .folder_splits import find_label_folders, find_splits, folders_in
from .mask_classes import read_mask_classes
from .random_split import split_by_class


@dataclass(frozen=True)
class FolderLayout:
    """Splits, classes and settings of a folder of images.

    Attributes:
        data (dict[str, dict]): Each of 'train', 'val' and 'test' to the
            arguments of its dataset. An ``ann_file`` is one of ``lists``.
        images (dict[str, int]): Each of these splits to its images.
        settings (dict): Variables of the recommended config that follow from
            the data, such as ``classes``.
        lists (dict[str, list[str]]): Names of files to write, to their lines.
    """

    data: dict[str, dict]
    images: dict[str, int]
    settings: dict
    lists: dict[str, list[str]] = field(default_factory=dict)


def read_layout(folder: str, task: str, seed: int = 0) -> FolderLayout:
    """Read the layout of a folder.

    Args:
        folder (str): The folder.
        task (str): 'classification' or 'segmentation'.
        seed (int): Seed of a split into training and validation images.
            Defaults to 0.

    Raises:
        UsageError: If the folder has no known layout, images without labels,
            or fewer than two classes.
    """
    read = _segmentation if task == 'segmentation' else _classification
    data, samples, settings = read(folder)
    if not {'', 'train'} & samples.keys():
        raise UsageError(
            f'{folder} has the folder {first_few(samples)}, but no folder '
            'train; add one, or rename it if it is a class'
        )
    lists = {}
    if 'val' not in data:
        whole = '' if '' in samples else 'train'
        arguments, images = data.pop(whole), samples.pop(whole)
        for split, names in zip(
            ('train', 'val'), split_by_class(images, seed), strict=True
        ):
            samples[split], lists[f'{split}.txt'] = names, names
            ann_file = '{{ fileDirname }}/' + f'{split}.txt'
            data[split] = dict(arguments, ann_file=ann_file)
        if not samples['val']:
            raise UsageError(
                f'{folder} has one image of each class, so none is left to '
                'validate; add images, or a folder val'
            )
    data.setdefault('test', data['val'])
    count = {split: len(found) for split, found in samples.items()}
    return FolderLayout(data, count, settings, lists)


def _classification(folder: str) -> tuple[dict, dict, dict]:
    """Return arguments and samples of each split, and settings."""
    data, samples, classes = {}, {}, None
    for split, name in (find_splits(Path(folder)) or {'': ''}).items():
        if split == 'test' and not folders_in(Path(folder, name)):
            continue  # images to predict, without classes
        dataset = ImageFolder(
            data_root=folder,
            data_prefix=name,
            metainfo=dict(classes=classes) if classes else None,
            lazy_init=True,
        )
        samples[split] = {
            osp.relpath(sample['img_path'], dataset.img_prefix): [
                sample['gt_label']
            ]
            for sample in dataset.load_data_list()
        }
        data[split] = dict(data_prefix=name)
        classes = classes or list(dataset.CLASSES)
        if len(classes) < 2:
            inner = osp.join(dataset.img_prefix, classes[0])
            instead = f', or train on {inner}' * bool(folders_in(Path(inner)))
            raise UsageError(
                f'{dataset.img_prefix} has one folder with images, '
                f'{classes[0]!r}, but a classifier needs two or more; make a '
                f'folder for each class{instead}'
            )
    return data, samples, dict(classes=classes)


def _segmentation(folder: str) -> tuple[dict, dict, dict]:
    """Return arguments and samples of each split, and settings."""
    found = find_label_folders(Path(folder))
    if not found:
        names = sorted(path.name for path in Path(folder).iterdir())
        raise UsageError(
            f'{folder} should have the folders images and labels, or train '
            f'and val with these, but has {first_few(names) or "nothing"}'
        )
    data, pairs = {}, {}
    for split, (images, labels) in found.items():
        prefix = dict(img_path=images, seg_map_path=labels)
        data[split] = dict(data_prefix=prefix)
        places = [osp.join(folder, name) for name in (images, labels)]
        if suffix := _mask_suffix(*places):
            data[split]['seg_map_suffix'] = suffix
        dataset = SegmentationFolder(folder, **data[split], lazy_init=True)
        pairs[split] = {
            osp.relpath(sample['img_path'], places[0]): sample['seg_map_path']
            for sample in dataset.load_data_list()
        }
    masks = [mask for split in pairs.values() for mask in split.values()]
    settings, classes_of = read_mask_classes(Path(folder), masks)
    samples = {
        split: {image: classes_of[mask] for image, mask in pair.items()}
        for split, pair in pairs.items()
    }
    return data, samples, settings


def _mask_suffix(images: str, labels: str) -> str:
    """Return what the names of all masks add to those of the images."""
    stems, masks = (
        {osp.splitext(file)[0] for file in list_files(root)[0]}
        for root in (images, labels)
    )
    first = min(stems, default='')
    suffixes = [m.removeprefix(first) for m in masks if m.startswith(first)]
    fitting = [s for s in suffixes if all(i + s in masks for i in stems)]
    return fitting[0] if len(fitting) == 1 else ''
