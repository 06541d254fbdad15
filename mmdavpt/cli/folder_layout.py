"""Read how a folder of images is laid out: task, splits and classes."""

import os.path as osp
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmdavpt.datasets import ImageFolder, SegmentationFolder
from mmdavpt.datasets.folder_files import is_hidden, list_files
from mmdavpt.datasets.image_folder import SPLITS
from mmdavpt.errors import UsageError, first_few

from .mask_classes import read_mask_classes

#: Names of the folders of a segmentation dataset, in lower case.
IMAGES = ('images', 'image', 'imgs', 'img', 'jpegimages')
LABELS = ('labels', 'label', 'masks', 'mask', 'segmentationclass')
LABELS += ('annotations',)  # last: that of Pascal VOC has boxes
KINDS = ('train', 'val', 'test')
#: Part of the images that validate if no folder says which.
FRACTION = 0.2


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
        notes (list[str]): Sentences for the user.
    """

    data: dict[str, dict]
    images: dict[str, int]
    settings: dict
    lists: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


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
        for child in place.iterdir():
            if child.is_dir() and child.name.lower() in IMAGES:
                raise UsageError(
                    f'{place} has the folder {child.name}, but none named '
                    'labels, masks or annotations; rename that of the masks, '
                    f'or train on {child} if it has a folder for each class'
                )
    return 'classification'


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
    return read(folder, seed)


def find_splits(folder: Path) -> dict[str, str]:
    """Return which folders hold the splits 'train', 'val' and 'test'.

    Args:
        folder (Path): The folder that may have them.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    splits = [name for name in names if name.lower() in SPLITS]
    found = {}
    for kind in KINDS:
        own = [name for name in splits if name.lower().startswith(kind)]
        if len(own) > 1:
            raise UsageError(
                f'{folder} has {own[0]} and {own[1]}; remove or rename one of '
                'them'
            )
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
    splits = find_splits(folder)
    pairs = {s: _label_pair(folder / name) for s, name in splits.items()}
    return {
        split: (f'{splits[split]}/{pair[0]}', f'{splits[split]}/{pair[1]}')
        for split, pair in pairs.items()
        if pair
    }


def _folders(folder: Path) -> list[Path]:
    children = sorted(folder.iterdir())
    return [p for p in children if p.is_dir() and not is_hidden(p.name)]


def _unused_folders(root: Path, datasets: Mapping[str, dict]) -> list[str]:
    """Return the folders next to those of datasets and around them."""
    used = set()
    for arguments in datasets.values():
        prefix = arguments['data_prefix']
        names = [prefix] if isinstance(prefix, str) else prefix.values()
        used |= {root / name for name in names}
    around = {a for p in used for a in p.parents if a.is_relative_to(root)}
    found = (p for above in around for p in _folders(above))
    return sorted(str(p.relative_to(root)) for p in {*found} - used - around)


def _label_pair(folder: Path) -> tuple[str, str] | None:
    names = {p.name.lower(): p.name for p in folder.iterdir() if p.is_dir()}
    images = [names[name] for name in IMAGES if name in names]
    labels = [names[name] for name in LABELS if name in names]
    return (images[0], labels[0]) if images and labels else None


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
    order = [*classes]
    random.Random(seed).shuffle(order)
    of_class: dict[object, list[str]] = {}
    for image in order:
        for each in classes[image]:
            of_class.setdefault(each, []).append(image)
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
    return [i for i in classes if i not in val], [
        i for i in classes if i in val
    ]


def _classification(folder: str, seed: int) -> FolderLayout:
    prefixes, samples, classes = {}, {}, None
    for split, name in (find_splits(Path(folder)) or {'': ''}).items():
        if split == 'test' and not _folders(Path(folder, name)):
            continue  # images to predict, without classes
        dataset = ImageFolder(
            data_root=folder,
            data_prefix=name,
            metainfo=dict(classes=classes) if classes else None,
            lazy_init=True,
        )
        samples[split] = {
            osp.relpath(sample['img_path'], dataset.img_prefix): [
                dataset.CLASSES[sample['gt_label']]
            ]
            for sample in dataset.load_data_list()
        }
        prefixes[split] = dict(data_prefix=name)
        if classes is None:
            classes = list(dataset.CLASSES)
            _check_classes(dataset.img_prefix, classes, samples[split])
    settings = dict(classes=classes)
    return _layout(folder, prefixes, samples, settings, seed)


def _check_classes(root: str, classes: list[str], samples: dict) -> None:
    """Check that there are at least two classes, and images of each."""
    if len(classes) < 2:
        inner = osp.join(root, classes[0])
        instead = f', or train on {inner}' * bool(_folders(Path(inner)))
        raise UsageError(
            f'{root} has one folder with images, {classes[0]!r}, but a '
            'classifier needs two or more; make a folder for each class'
            + instead
        )
    inside = sorted({'/'.join(p.split('/')[:2]) for p in samples})
    splits = [p for p in inside if osp.basename(p).lower() in SPLITS]
    if splits:
        raise UsageError(
            f'{root} has splits inside of classes ({first_few(splits)}); move '
            'them outside, to folders such as train/CLASS and val/CLASS'
        )
    occurring = {name for names in samples.values() for name in names}
    empty = [name for name in classes if name not in occurring]
    if empty:
        raise UsageError(
            f'{root} has folders without images: {first_few(empty)}; remove '
            'them, or add images'
        )


def _segmentation(folder: str, seed: int) -> FolderLayout:
    found = find_label_folders(Path(folder))
    if not found:
        names = sorted(path.name for path in Path(folder).iterdir())
        raise UsageError(
            f'{folder} should have the folders images and labels, or train '
            f'and val with these, but has {first_few(names) or "nothing"}'
        )
    prefixes, pairs = {}, {}
    for split, (images, labels) in found.items():
        prefix = dict(img_path=images, seg_map_path=labels)
        prefixes[split] = dict(data_prefix=prefix)
        suffix = _mask_suffix(
            osp.join(folder, images), osp.join(folder, labels)
        )
        if suffix:
            prefixes[split]['seg_map_suffix'] = suffix
        dataset = SegmentationFolder(
            data_root=folder, **prefixes[split], lazy_init=True
        )
        root = dataset.data_prefix['img_path']
        pairs[split] = {
            osp.relpath(sample['img_path'], root): sample['seg_map_path']
            for sample in dataset.load_data_list()
        }
    masks = [mask for split in pairs.values() for mask in split.values()]
    settings, classes_of = read_mask_classes(Path(folder), masks)
    samples = {
        split: {image: classes_of[mask] for image, mask in pair.items()}
        for split, pair in pairs.items()
    }
    return _layout(folder, prefixes, samples, settings, seed)


def _mask_suffix(images: Path, labels: Path) -> str:
    """Return what the names of all masks add to those of the images."""
    stems, masks = (
        {osp.splitext(file)[0] for file in list_files(str(root))[0]}
        for root in (images, labels)
    )
    first = min(stems, default='')
    suffixes = [m.removeprefix(first) for m in masks if m.startswith(first)]
    fitting = [s for s in suffixes if all(i + s in masks for i in stems)]
    return fitting[0] if len(fitting) == 1 else ''


def _layout(
    folder: str,
    prefixes: dict[str, dict],
    samples: dict[str, dict[str, list]],
    settings: dict,
    seed: int,
) -> FolderLayout:
    """Split images into training and validation if folders do not."""
    if not {'', 'train'} & samples.keys():
        raise UsageError(
            f'{folder} has the folder {first_few(samples)}, but no folder '
            'train; add one, or rename it if it is a class'
        )
    data, lists, notes = dict(prefixes), {}, []
    if 'val' not in data:
        whole = '' if '' in samples else 'train'
        arguments, images = data.pop(whole), samples.pop(whole)
        for split, names in zip(
            ('train', 'val'), split_by_class(images, seed), strict=True
        ):
            samples[split] = {name: images[name] for name in names}
            lists[f'{split}.txt'] = names
            ann_file = '{{ fileDirname }}/' + f'{split}.txt'
            data[split] = dict(arguments, ann_file=ann_file)
        if not samples['val']:
            raise UsageError(
                f'{folder} has one image of each class, so none is left to '
                'validate; add images, or a folder val'
            )
        counts = Counter(each for found in images.values() for each in found)
        single = [str(each) for each, count in counts.items() if count == 1]
        if single:
            notes.append(
                'classes with a single image, which trains, are not '
                f'validated: {first_few(single)}'
            )
    if settings.get('value_map'):
        pairs = [f'{v}: {k}' for v, k in settings['value_map'].items()]
        notes.append(
            f'the values of the masks become classes ({", ".join(pairs)}); '
            'if these are wrong, change `value_map` in the config'
        )
    unused = _unused_folders(Path(folder), prefixes)
    if unused:
        notes.append(f'folders that are not used: {first_few(unused)}')
    data.setdefault('test', data['val'])
    count = {split: len(found) for split, found in samples.items()}
    return FolderLayout(data, count, settings, lists, notes)
