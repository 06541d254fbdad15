"""Find files that a dataset does not read, and folders that it should not."""

import os.path as osp
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from mmdavpt.datasets.folder_files import (
    by_extension,
    is_picture,
    list_files,
    loading_backend,
    reads,
)
from mmdavpt.datasets.hidden_files import is_hidden
from mmdavpt.datasets.sample_files import SampleFiles
from mmdavpt.errors import first_few

from .finding import Finding

#: What is said of files that a dataset does not read, by kind.
SPARE = {
    'unread_images': 'images that are not read because of their names',
    'unlisted_images': 'images that are in no list or class folder',
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
    prefixes = getattr(files.dataset, 'data_prefix', {})
    folder = prefixes.get('img_path') or ''
    selected = getattr(files.dataset, '_indices', None) is not None
    if not osp.isdir(folder) or selected:
        return []
    listed = [sample.get('seg_map_path') or '' for sample in files.samples]
    known = {*(path for path, _ in files.images), *listed, *used}
    spare, masks = _unknown_files(folder, known), set()
    label_folder = prefixes.get('seg_map_path') or ''
    if files.labels and osp.isdir(label_folder) and label_folder != folder:
        masks = _unknown_files(label_folder, known)
    spare = sorted(spare - masks)
    found = (
        *_hidden_folders(folder, files),
        *_partners(files, sorted(masks), {_stem(path) for path in spare}),
        *_spare_files(files, spare),
    )
    return [Finding(*f[:2], split, f[2], tuple(f[3])) for f in found]


def _unknown_files(folder: str, known: Collection[str]) -> set[str]:
    """Return the visible files in a folder that are not known."""
    files = {osp.join(folder, name) for name in list_files(folder)[0]}
    unknown = files - set(known)
    # Slow, and only needed if a folder is written in two ways.
    known = set(map(osp.abspath, known)) if unknown else known
    return {path for path in unknown if osp.abspath(path) not in known}


def _hidden_folders(folder: str, files: SampleFiles) -> Iterator[Found]:
    """Yield what to say of hidden folders that are read as data."""
    classes = getattr(files.dataset, 'folder_to_idx', None) or {}
    roles = {
        osp.join(folder, name): f'class {k}'
        for name, k in classes.items()
        if is_hidden(name)
    }
    for place in dict.fromkeys(osp.dirname(path) for path, _ in files.images):
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
    files: SampleFiles, masks: list[str], spare: set[str]
) -> Iterator[Found]:
    """Yield what to say of images without labels, and the reverse."""
    images = [path for path, _ in files.images]
    if files.load_labels is not None and not files.labels:
        what = (
            'LoadAnnotations needs labels, but data_prefix.seg_map_path is '
            'not set; set it, or remove LoadAnnotations; a test that only '
            'writes predictions needs test_evaluator.format_only=True'
        )
        yield 'error', 'images_without_labels', what, images
    pairs = zip(images, files.labels, strict=False)
    lonely = [(i, label) for i, (label, _) in pairs if not osp.isfile(label)]
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
        what = f'label files without images: {by_extension(alone)}'
        yield 'warning', 'labels_without_images', what, alone


def _spare_files(files: SampleFiles, spare: list[str]) -> Iterator[Found]:
    """Yield what to say of files that a dataset does not read.

    Unread images are an error if they are at least half of all, since the
    folder is then not what its user takes it for. Fewer are a warning: spare
    files are common. So are images that a list leaves out.
    """
    dataset, number = files.dataset, len(files.images)
    backend = loading_backend(dataset.pipeline.transforms)
    suffix, listed = getattr(dataset, 'img_suffix', ''), dataset.ann_file
    accepts = getattr(dataset, 'is_valid_file', lambda p: p.endswith(suffix))
    kinds = defaultdict(list)
    for path in spare:
        if is_picture(path) or reads(path, backend):
            # What it accepts, but does not read, its layout leaves out.
            omitted = listed or accepts(path)
            kinds['unlisted_images' if omitted else 'unread_images'] += [path]
        elif not listed:
            kinds['other_files'].append(path)
    for kind in filter(kinds.get, SPARE):
        severity, what = 'warning', f'{SPARE[kind]}: '
        what += by_extension(kinds[kind])
        if kind == 'unread_images':
            severity = 'error' if len(kinds[kind]) >= number else 'warning'
            reader = 'SegmentationFolder' if suffix else 'ImageFolder'
            what += (
                f'; {number} images are read; use mmdavpt.{reader}, and '
                'convert what it cannot read to JPEG or PNG'
            )
        yield severity, kind, what, kinds[kind]


def _stem(path: str) -> str:
    return osp.splitext(osp.basename(path))[0]
