"""Find files that a dataset does not read, and folders that it should not."""

import os.path as osp
from collections.abc import Iterable, Iterator

from mmdavpt.datasets.image_files import is_hidden, list_files, media_type
from mmdavpt.errors import first_few

from .checked_dataset import CheckedDataset, Finding


def folder_findings(
    data: CheckedDataset, used: Iterable[str] = ()
) -> Iterator[Finding]:
    """Compare the files below a dataset's folders with those that it reads.

    Args:
        data (CheckedDataset): The dataset.
        used (Iterable[str]): Files that other datasets of the config read.
            Defaults to ().

    Yields:
        Finding: At most one for each kind of defect.
    """
    prefixes = getattr(data.dataset, 'data_prefix', {})
    folder = prefixes.get('img_path') or ''
    selected = getattr(data.dataset, '_indices', None) is not None
    if not osp.isdir(folder) or selected:
        return
    used = {*used, *(r.path for r in data.images)}
    used |= {sample.get('seg_map_path') or '' for sample in data.samples}
    spare, masks = _unknown_files(folder, used), set()
    label_folder = prefixes.get('seg_map_path') or ''
    if data.labels and osp.isdir(label_folder) and label_folder != folder:
        masks = _unknown_files(label_folder, used)
    spare = sorted(spare - masks)
    for severity, kind, what, files in (
        *_hidden_folders(folder, data),
        *_partners(data, sorted(masks), {_stem(path) for path in spare}),
        *_unread_images(data, spare),
    ):
        yield Finding(severity, kind, data.split, what, tuple(files))


def _unknown_files(folder: str, known: set[str]) -> set[str]:
    """Return the visible files in a folder that are not known."""
    files = {osp.join(folder, name) for name in list_files(folder)[0]}
    unknown = files - known
    # Slow, and only needed if a folder is written in two ways.
    known = set(map(osp.abspath, known)) if unknown else known
    return {path for path in unknown if osp.abspath(path) not in known}


def _hidden_folders(folder: str, data: CheckedDataset) -> Iterator[tuple]:
    """Yield what to say of hidden folders that are read as data."""
    classes = getattr(data.dataset, 'folder_to_idx', None) or {}
    hidden = {name: k for name, k in classes.items() if is_hidden(name)}
    roles = {osp.join(folder, n): f'class {k}' for n, k in hidden.items()}
    for place in dict.fromkeys(osp.dirname(r.path) for r in data.images):
        names = place.removeprefix(folder).strip('/').split('/')
        if hidden := [k for k, name in enumerate(names, 1) if is_hidden(name)]:
            path = osp.join(folder, *names[: hidden[0]])
            roles.setdefault(path, 'samples')
    if roles:
        read_as = first_few(dict.fromkeys(roles.values()))
        which = 'them' if len(roles) > 1 else 'it'
        what = f'{first_few(roles)}: hidden, but read as {read_as}; remove '
        yield 'error', 'hidden_folder', f'{what}{which} from the data', roles


def _partners(
    data: CheckedDataset, masks: list[str], spare: set[str]
) -> Iterator[tuple]:
    """Yield what to say of images without labels, and the reverse."""
    images = [record.path for record in data.images]
    if data.load_labels is not None and not data.labels:
        what = (
            'LoadAnnotations needs labels, but data_prefix.seg_map_path is '
            'not set; set it, or remove LoadAnnotations; a test that only '
            'writes predictions needs test_evaluator.format_only=True'
        )
        yield 'error', 'images_without_labels', what, images
    pairs = zip(images, (record.path for record in data.labels), strict=False)
    lonely = [(image, mask) for image, mask in pairs if not osp.isfile(mask)]
    if lonely:
        image, label = lonely[0]
        stem, hint = _stem(image), 'add it, or remove the image'
        near = [osp.basename(m) for m in masks if _stem(m).startswith(stem)]
        if near:
            ending = near[0].removeprefix(stem)
            hint = f'{near[0]} does: set seg_map_suffix={ending!r}'
            masks = [path for path in masks if not path.endswith(ending)]
        what = (
            f'{len(lonely)} of {len(images)} images without labels, such as '
            f'{image}: {label} does not exist; {hint}'
        )
        yield 'error', 'images_without_labels', what, [i for i, _ in lonely]
    if alone := [path for path in masks if _stem(path) not in spare]:
        what = f'label files without images: {first_few(alone)}'
        yield 'warning', 'labels_without_images', what, alone


def _unread_images(data: CheckedDataset, spare: list[str]) -> Iterator[tuple]:
    """Yield what to say of images whose names a dataset does not accept.

    They are an error if they are at least half of all, since the folder is
    then not what its user takes it for. Fewer are a warning: spare files are
    common. A list leaves images out on purpose.
    """
    dataset, number = data.dataset, len(data.images)
    suffix = getattr(dataset, 'img_suffix', '')
    accepts = getattr(dataset, 'is_valid_file', lambda p: p.endswith(suffix))
    unread = [p for p in spare if media_type(p) == 'image' and not accepts(p)]
    if unread and not dataset.ann_file:
        reader = 'SegmentationFolder' if suffix else 'ImageFolder'
        what = (
            'images that are not read because of their names: '
            f'{first_few(unread)}; {number} images are read; use '
            f'mmdavpt.{reader}, and convert what it cannot read to JPEG or PNG'
        )
        severity = 'error' if len(unread) >= number else 'warning'
        yield severity, 'unread_images', what, unread


def _stem(path: str) -> str:
    return osp.splitext(osp.basename(path))[0]
