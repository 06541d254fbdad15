"""Read a folder of images: its splits, classes and settings."""

import os.path as osp
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmdavpt.datasets import ImageFolder, SegmentationFolder
from mmdavpt.datasets.folders import SPLITS
from mmdavpt.datasets.image_files import is_hidden, list_files
from mmdavpt.errors import UsageError, first_few, warn

from .mask_classes import read_mask_classes

#: Names of the folders of a segmentation dataset, in lower case.
IMAGES = ('images', 'image', 'imgs', 'img', 'jpegimages')
LABELS = ('labels', 'label', 'masks', 'mask', 'segmentationclass')
LABELS += ('annotations',)  # last: that of Pascal VOC has boxes


def find_task(folder: str) -> str:
    """Return the task that a folder is for.

    Args:
        folder (str): The folder.

    Returns:
        str: 'segmentation' if it has folders of images and of labels, else
        'classification'.

    Raises:
        UsageError: If it has a folder of images, but none of labels.
    """
    root = Path(folder)
    if find_label_folders(root):
        return 'segmentation'
    for place in (root, *(root / name for name in find_splits(root).values())):
        for name in folders_in(place):
            if name.lower() in IMAGES:
                raise UsageError(
                    f'{place} has the folder {name}, but none named labels, '
                    'masks or annotations; rename that of the masks, or train '
                    f'on {place / name} if it has a folder for each class'
                )
    return 'classification'


def find_splits(folder: Path) -> dict[str, str]:
    """Return which folders hold the splits 'train', 'val' and 'test'.

    Args:
        folder (Path): The folder that may have them.
    """
    found, names = {}, [n for n in folders_in(folder) if n.lower() in SPLITS]
    for kind in ('train', 'val', 'test'):
        own = [name for name in names if name.lower().startswith(kind)]
        if len(own) > 1:
            both = f'{folder} has {own[0]} and {own[1]}'
            raise UsageError(f'{both}; remove or rename one of them')
        if own:
            found[kind] = own[0]
    return found


def find_label_folders(folder: Path) -> dict[str, tuple[str, str]]:
    """Return the folders of images and of labels, by split.

    Args:
        folder (Path): With ``images`` and ``labels``, or with folders of
            splits outside or inside of these.

    Returns:
        dict[str, tuple[str, str]]: 'train', 'val' and 'test', or '' for
        images that are not split; empty if there are no such folders.
    """
    pair = _label_pair(folder)
    if pair:
        images, labels = (find_splits(folder / name) for name in pair)
        return {
            split: (f'{pair[0]}/{name}', f'{pair[1]}/{labels[split]}')
            for split, name in images.items()
            if split in labels
        } or {'': pair}
    return {
        split: (f'{name}/{pair[0]}', f'{name}/{pair[1]}')
        for split, name in find_splits(folder).items()
        if (pair := _label_pair(folder / name))
    }


def folders_in(folder: Path) -> list[str]:
    """Return the names of the visible folders in a folder.

    Args:
        folder (Path): The folder.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return [name for name in names if not is_hidden(name)]


def _label_pair(folder: Path) -> tuple[str, str] | None:
    names = {name.lower(): name for name in folders_in(folder)}
    images = [names[name] for name in IMAGES if name in names]
    labels = [names[name] for name in LABELS if name in names]
    return (images[0], labels[0]) if images and labels else None


#: Part of the images that validate.
FRACTION = 0.2


def split_by_class(
    classes: Mapping[str, Sequence[object]], seed: int = 0
) -> tuple[list[str], list[str]]:
    """Split images at random into training and validation images.

    Rare classes choose first. A fifth of the images of each class validates,
    at least one, and at least one trains.

    Args:
        classes (Mapping[str, Sequence]): Each image to its classes.
        seed (int): The seed. Defaults to 0.

    Returns:
        tuple[list[str], list[str]]: Both in the given order.
    """
    order, of_class = [*classes], defaultdict(list)
    random.Random(seed).shuffle(order)
    for image in order:
        for each in classes[image]:
            of_class[each].append(image)
    rarest_first = sorted(of_class.values(), key=len)
    train, val = set(), set()
    for images in rarest_first:
        wanted = max(round(FRACTION * len(images)), len(images) > 1)
        free = [i for i in images if i not in train and i not in val]
        missing = max(0, wanted - len(val.intersection(images)))
        val.update(free[:missing])
        train.update(free[missing:])
    for images in rarest_first:
        if not train.intersection(images):
            val.discard(images[0])
            train.add(images[0])
    train = [image for image in classes if image not in val]
    return train, [image for image in classes if image in val]


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
    """Read the layout of a folder; warn of folders that are not used.

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
        parts = split_by_class(images, seed)
        for split, names in zip(('train', 'val'), parts, strict=True):
            samples[split], lists[f'{split}.txt'] = names, names
            ann_file = '{{ fileDirname }}/' + f'{split}.txt'
            data[split] = dict(arguments, ann_file=ann_file)
        if not samples['val']:
            raise UsageError(
                f'{folder} has one image of each class, so none is left to '
                'validate; add images, or a folder val'
            )
    if unused := _unused_folders(Path(folder), data):
        warn(f'{folder} has {first_few(unused)}, which the training ignores')
    data.setdefault('test', data['val'])
    count = {split: len(found) for split, found in samples.items()}
    return FolderLayout(data, count, settings, lists)


def _unused_folders(root: Path, data: Mapping[str, dict]) -> list[str]:
    """Return the folders next to those that the splits use."""
    prefixes = [arguments['data_prefix'] for arguments in data.values()]
    given = [[p] if isinstance(p, str) else p.values() for p in prefixes]
    used = {Path(path) for paths in given for path in paths}
    places = {place for path in used for place in path.parents}
    found = {p / name for p in places for name in folders_in(root / p)}
    return sorted(map(str, found - used - places))


def _classification(folder: str) -> tuple[dict, dict, dict]:
    """Return arguments and samples of each split, and settings."""
    data, samples, classes = {}, {}, None
    for split, name in (find_splits(Path(folder)) or {'': ''}).items():
        if split == 'test' and not folders_in(Path(folder, name)):
            continue  # images to predict, without classes
        metainfo = dict(classes=classes) if classes else None
        options = dict(metainfo=metainfo, lazy_init=True)
        dataset = ImageFolder(folder, name, **options)
        samples[split], root = {}, dataset.img_prefix
        for sample in dataset.load_data_list():
            image = osp.relpath(sample['img_path'], root)
            samples[split][image] = [sample['gt_label']]
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
    for pair in pairs.values():
        pair.update({image: classes_of[mask] for image, mask in pair.items()})
    return data, pairs, settings


def _mask_suffix(images: str, labels: str) -> str:
    """Return what the names of all masks add to those of the images."""
    files = [list_files(root)[0] for root in (images, labels)]
    stems, masks = ({osp.splitext(f)[0] for f in found} for found in files)
    first = min(stems, default='')
    suffixes = [m.removeprefix(first) for m in masks if m.startswith(first)]
    fitting = [s for s in suffixes if all(i + s in masks for i in stems)]
    return fitting[0] if len(fitting) == 1 else ''
