"""Find files that a dataset does not read, and folders that it should not."""

import mimetypes
import os
import os.path as osp
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadAnnotations
from PIL import Image

from mmdavpt.datasets.hidden_files import is_hidden
from mmdavpt.errors import first_few

from .finding import Finding

#: A finding without its split: severity, kind, sentence and files.
Found = tuple[str, str, str, Iterable[str]]

#: What to say of files that a dataset does not read.
SPARE = {
    'unread_images': 'images are not read, because of their extensions',
    'images_outside_classes': 'images lie in no class folder; move them',
    'unlisted_images': 'images are in no list; add those that belong to it',
    'other_files': 'files are not images',
}


def folder_findings(
    dataset: Any, split: str, used: Iterable[str] = ()
) -> list[Finding]:
    """Compare the files below a dataset's folders with those that it lists.

    Args:
        dataset (BaseDataset): The dataset, built, not a wrapper of others.
        split (str): 'train', 'val' or 'test'.
        used (Iterable[str]): Files that other datasets of the config read.
            Defaults to ().

    Returns:
        list[Finding]: At most one for each kind of defect.
    """
    prefixes = getattr(dataset, 'data_prefix', {})
    folder = prefixes.get('img_path') or ''
    label_folder = prefixes.get('seg_map_path') or ''
    if not osp.isdir(folder) or getattr(dataset, '_indices', None) is not None:
        return []
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    images = [sample['img_path'] for sample in samples]
    labels = {s['img_path']: s.get('seg_map_path') for s in samples}
    known = {osp.abspath(p) for p in (*images, *labels.values(), *used) if p}
    masks, spare = (
        {p for p in visible_files(root) if osp.abspath(p) not in known}
        for root in (label_folder, folder)
    )
    spare = sorted(spare if folder == label_folder else spare - masks)
    found = [
        *_hidden_folders(folder, images, dataset),
        *_class_order(dataset),
        *_spare_files(spare, len(images), dataset),
    ]
    steps = dataset.pipeline.transforms
    if any(isinstance(step, LoadAnnotations) for step in steps):
        if None in labels.values():
            what = (
                'LoadAnnotations needs labels, but data_prefix.seg_map_path '
                'is not set; set it, or remove LoadAnnotations; a test that '
                'only writes predictions needs test_evaluator.format_only=True'
            )
            found.append(('error', 'images_without_labels', what, images))
        else:
            found += _partners(labels, sorted(masks), spare)
    return [
        Finding(severity, kind, split, sentence, tuple(files))
        for severity, kind, sentence, files in found
    ]


def visible_files(folder: str) -> Iterator[str]:
    """Yield the files below a folder, except hidden ones.

    Links to folders are followed, but each folder is read once.

    Args:
        folder (str): The folder; '' has no files.
    """
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (osp.join(place, n) for n in names if not is_hidden(n))


def is_picture(path: str) -> bool:
    """Return whether a file is an image by its extension, in any case.

    Args:
        path (str): The file.
    """
    kind = mimetypes.guess_type(path, strict=False)[0]
    if kind is None:  # not known there: .heic before Python 3.11, .tga
        extensions = Image.registered_extensions()
        return extensions.get(Path(path).suffix.lower()) in Image.OPEN
    return kind.startswith('image/')


def by_extension(paths: Iterable[str]) -> str:
    """Return the number of files of each extension, most frequent first.

    Args:
        paths (Iterable[str]): The files.

    Returns:
        str: Such as '9 .webp (such as a.webp), 1 .JPG (c.JPG)'.
    """
    groups = defaultdict(list)
    for path in paths:
        groups[Path(path).suffix or 'without extension'].append(path)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return ', '.join(
        f'{len(files)} {suffix} ({"such as " * (len(files) > 1)}{files[0]})'
        for suffix, files in ordered
    )


def _hidden_folders(
    folder: str, images: Iterable[str], dataset: Any
) -> Iterator[Found]:
    """Yield what to say of hidden folders that are read as data."""
    classes = getattr(dataset, 'folder_to_idx', None) or {}
    hidden = {c: f'class {k}' for c, k in classes.items() if is_hidden(c)}
    for path in images:
        parts = Path(path.removeprefix(folder).lstrip(os.sep)).parts[:-1]
        for k, name in enumerate(parts):
            if is_hidden(name):
                hidden.setdefault(osp.join(*parts[: k + 1]), 'samples')
                break
    if hidden:
        names = [osp.join(folder, name) for name in hidden]
        roles = first_few(dict.fromkeys(hidden.values()))
        what = f'{first_few(names)}: hidden, but read as {roles}; remove '
        what += f'{"them" if names[1:] else "it"} from the data'
        yield 'error', 'hidden_folder', what, names


def _class_order(dataset: Any) -> Iterator[Found]:
    """Yield what to say of names in another order than their folders."""
    folders = list(getattr(dataset, 'folder_to_idx', None) or ())
    names = list(dataset.metainfo.get('classes') or ())
    if folders != names and sorted(folders) == sorted(names):
        what = (
            '`classes` should be in the order of the folders, which is '
            f'{first_few(folders)}, but is {first_few(names)}, so names are '
            'mixed up; sort them, or leave them out'
        )
        yield 'error', 'class_order', what, ()


def _spare_files(
    spare: Iterable[str], number: int, dataset: Any
) -> Iterator[Found]:
    """Yield what to say of files that a dataset does not read.

    Images of other formats are an error if they are at least half of all,
    since the folder is then not what its user takes it for. Fewer are a
    warning: spare files are common. So are images that a list omits.
    """
    suffix = getattr(dataset, 'img_suffix', '')
    reads = getattr(dataset, 'is_valid_file', lambda p: p.endswith(suffix))
    listed = getattr(dataset, 'ann_file', '')
    kinds = defaultdict(list)
    for path in spare:
        kind = 'images_outside_classes' if reads(path) else 'unread_images'
        kind = 'unlisted_images' if listed else kind
        kinds[kind if is_picture(path) else 'other_files'].append(path)
    for kind in filter(kinds.get, SPARE):
        files = kinds[kind]
        half = kind == 'unread_images' and len(files) >= number
        what = f'{len(files)} {SPARE[kind]}: {by_extension(files)}'
        if kind == 'unread_images':
            what += f', but {number} others are; {_advice(files, dataset)}'
        if not (listed and kind == 'other_files'):
            yield 'error' if half else 'warning', kind, what, files


def _advice(files: Iterable[str], dataset: Any) -> str:
    """Return how to make a dataset read images with other extensions."""
    suffixes = {Path(path).suffix.lower() for path in files}
    if type(dataset).__module__.startswith('mmdavpt') or not all(
        Image.registered_extensions().get(s) in Image.OPEN for s in suffixes
    ):
        return 'convert them to JPEG or PNG'
    if hasattr(dataset, 'seg_map_suffix'):
        return 'use mmdavpt.SegmentationFolder, or set img_suffix'
    return 'use mmdavpt.ImageFolder, or set `extensions`'


def _partners(
    labels: dict[str, str], masks: list[str], spare: list[str]
) -> Iterator[Found]:
    """Yield what to say of images without labels, and the reverse."""
    lonely = [i for i, label in labels.items() if not osp.isfile(label)]
    if lonely:
        stem = Path(lonely[0]).stem
        near = [path for path in masks if Path(path).name.startswith(stem)]
        hint = 'add it, or remove the image'
        if near:
            ending = Path(near[0]).name.removeprefix(stem)
            hint = f'{near[0]} does: set seg_map_suffix={ending!r}'
            masks = [path for path in masks if not path.endswith(ending)]
        what = (
            f'{len(lonely)} of {len(labels)} images have no labels, such as '
            f'{lonely[0]}: {labels[lonely[0]]} does not exist; {hint}'
        )
        yield 'error', 'images_without_labels', what, lonely
    stems = {Path(path).stem for path in spare}
    if alone := [path for path in masks if Path(path).stem not in stems]:
        what = f'{len(alone)} label files have no image: {by_extension(alone)}'
        yield 'warning', 'labels_without_images', what, alone
