"""Find files that a dataset does not read, and folders that it should not."""

import os.path as osp
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from mmengine.dataset import BaseDataset

from mmdavpt.datasets.folder_files import (
    by_extension,
    is_picture,
    list_files,
    loading_backend,
    reads,
)
from mmdavpt.datasets.sample_files import SampleFiles
from mmdavpt.errors import first_few

from .finding import Finding

#: What is said of files that a dataset does not read, by kind.
SPARE = {
    'unread_images': 'images that are not read because of their names',
    'images_outside_classes': 'images in no class folder, so not read',
    'unlisted_images': 'images that are in no list',
    'broken_links': 'links to files that do not exist',
    'other_files': 'files that are no images',
}

#: A finding without its split: severity, kind, sentence and files.
Found = tuple[str, str, str, Iterable[str]]


def folder_findings(
    files: SampleFiles, split: str, used: Iterable[str] = ()
) -> list[Finding]:
    """Compare the files below a dataset's folders with those that it reads.

    Args:
        files (SampleFiles): The files of the dataset.
        split (str): 'train', 'val' or 'test'.
        used (Iterable[str]): Files that other datasets of the config read.
            Defaults to ().

    Returns:
        list[Finding]: At most one for each kind of defect.
    """
    dataset = files.dataset
    prefixes = getattr(dataset, 'data_prefix', {})
    folder = prefixes.get('img_path') or ''
    label_folder = prefixes.get('seg_map_path') or ''
    if not osp.isdir(folder) or getattr(dataset, '_indices', None) is not None:
        return []
    images = [path for path, _ in files.images]
    labels = [path for path, _ in files.labels]
    listed = [sample.get('seg_map_path') or '' for sample in files.samples]
    known = {*images, *listed, *used}
    spare, hidden = _unknown_files(folder, known)
    masks = set()
    if labels and osp.isdir(label_folder) and label_folder != folder:
        masks, _ = _unknown_files(label_folder, known)
    spare = sorted(spare - masks)
    found = [
        *_hidden_folders(folder, hidden, images, dataset),
        *_class_order(dataset),
        *_partners(images, labels, sorted(masks), spare),
        *_spare_files(folder, spare, len(images), dataset),
    ]
    if files.load_labels is not None and not labels:
        what = (
            'LoadAnnotations needs labels, but data_prefix.seg_map_path is '
            'not set; set it, or remove LoadAnnotations; a test that only '
            'writes predictions needs test_evaluator.format_only=True'
        )
        found.append(('error', 'images_without_labels', what, images))
    return [Finding(*f[:2], split, f[2], tuple(f[3])) for f in found]


def _unknown_files(
    folder: str, known: Collection[str]
) -> tuple[set[str], list[str]]:
    """Return visible files in a folder that are not known, and hidden ones."""
    names, _, hidden = list_files(folder)
    unknown = {osp.join(folder, name) for name in names} - set(known)
    # Slow, and only needed if a folder is written in two ways.
    known = set(map(osp.abspath, known)) if unknown else known
    return {path for path in unknown if osp.abspath(path) not in known}, hidden


def _hidden_folders(
    folder: str, hidden: list[str], images: list[str], dataset: BaseDataset
) -> Iterator[Found]:
    """Yield what to say of hidden folders that are read as data."""
    classes = getattr(dataset, 'folder_to_idx', None) or {}
    # All folders with an image in them or below.
    read, above, roles = set(), set(images), {}
    while above := {osp.dirname(path) for path in above} - read:
        read |= above
    for name in hidden:
        path = osp.join(folder, name)
        if name in classes:
            roles[path] = f'class {classes[name]}'
        elif path in read:
            roles[path] = 'samples'
    if roles:
        read_as = first_few(dict.fromkeys(roles.values()))
        what = f'{first_few(roles)}: hidden, but read as {read_as}; remove '
        what += f'{"them" if len(roles) > 1 else "it"} from the data'
        yield 'error', 'hidden_folder', what, roles


def _class_order(dataset: BaseDataset) -> Iterator[Found]:
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


def _partners(
    images: list[str], labels: list[str], masks: list[str], spare: list[str]
) -> Iterator[Found]:
    """Yield what to say of images without labels, and the reverse."""
    pairs = zip(images, labels, strict=False)
    lonely = [(i, label) for i, label in pairs if not osp.isfile(label)]
    if lonely:
        image, label = lonely[0]
        stem = _stem(image)
        near = [osp.basename(m) for m in masks if _stem(m).startswith(stem)]
        hint = 'add it, or remove the image'
        if near:
            ending = near[0].removeprefix(stem)
            hint = f'{near[0]} does: set seg_map_suffix={ending!r}'
            masks = [path for path in masks if not path.endswith(ending)]
        what = (
            f'{len(lonely)} of {len(images)} images without labels, such as '
            f'{image}: {label} does not exist; {hint}'
        )
        yield 'error', 'images_without_labels', what, [i for i, _ in lonely]
    stems = set(map(_stem, spare))
    if alone := [path for path in masks if _stem(path) not in stems]:
        what = f'label files without images: {by_extension(alone)}'
        yield 'warning', 'labels_without_images', what, alone


def _spare_files(
    folder: str, spare: list[str], number: int, dataset: BaseDataset
) -> Iterator[Found]:
    """Yield what to say of files that a dataset does not read.

    Unread images are an error if they are at least half of all, since the
    folder is then not what its user takes it for. Fewer are a warning: spare
    files are common. So are images that a list leaves out.
    """
    backend = loading_backend(dataset.pipeline.transforms)
    suffix = getattr(dataset, 'img_suffix', '')
    accepts = getattr(dataset, 'is_valid_file', lambda p: p.endswith(suffix))
    listed = getattr(dataset, 'ann_file', '')
    by_folder = getattr(dataset, 'folder_to_idx', None)
    kinds = defaultdict(list)
    for path in spare:
        # A dataset that accepts, but does not read a file, has some list.
        in_list = listed or accepts(path)
        kind = 'unlisted_images' if in_list else 'unread_images'
        if by_folder and osp.dirname(path) == osp.normpath(folder):
            kind = 'images_outside_classes'
        if not osp.exists(path):
            kind = 'broken_links'
        elif not (is_picture(path) or reads(path, backend)):
            kind = 'other_files'
        kinds[kind].append(path)
    for kind in filter(kinds.get, SPARE):
        files, severity = kinds[kind], 'warning'
        what = f'{SPARE[kind]}: {by_extension(files)}'
        if kind == 'unread_images':
            severity = 'error' if len(files) >= number else 'warning'
            advice = 'convert them to JPEG or PNG'
            if all(reads(path, backend) for path in files):
                advice = 'use mmdavpt.ImageFolder or `extensions`'
                if hasattr(dataset, 'img_suffix'):
                    advice = (
                        'set img_suffix, or use mmdavpt.SegmentationFolder'
                    )
            what += f'; {number} images are read; {advice}'
        if not (listed and kind == 'other_files'):
            yield severity, kind, what, files


def _stem(path: str) -> str:
    return osp.splitext(osp.basename(path))[0]
