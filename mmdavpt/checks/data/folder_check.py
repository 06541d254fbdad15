"""Checks of the folders that the hosts' readers list."""

import inspect
import os
import os.path as osp
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mmdavpt.errors import UsageError


def check_folders(
    path: str,
    dataset: dict,
    places: dict[str, str],
    kind: Any,
    training: bool = False,
) -> None:
    """Check what a dataset would list, if the hosts' code lists it.

    Args:
        path (str): Path of the dataset in the config.
        dataset (dict): Its config.
        places (Dict[str, str]): What :func:`.places_of` says.
        kind (type | Any): What its ``type`` stands for.
        training (bool): Whether each class needs an image.
            Defaults to False.

    Raises:
        UsageError: If there is no image, a file is missing, or a class of a
            training set has no image.
    """
    folder = places.get('img_path', places.get('data_root', ''))
    if not osp.isdir(folder):
        return
    if _lists_by(kind, 'seg_map_suffix') and 'img_path' in places:
        suffix, label_suffix = (
            dataset.get(key, _default(kind, key))
            for key in ('img_suffix', 'seg_map_suffix')
        )
        _check_segmentation(path, places, suffix, label_suffix)
    elif _lists_by(kind, 'extensions') and 'ann_file' not in places:
        extensions = dataset.get('extensions', _default(kind, 'extensions'))
        endings = tuple(sorted(e.lower() for e in extensions))
        labelled = dataset.get('with_label', True)
        _check_classification(path, folder, endings, labelled)
        if labelled and training:
            _check_classes(path, folder, endings)


def _lists_by(kind: Any, key: str) -> bool:
    """Return whether the class that brought in a key lists the files."""
    if not inspect.isclass(kind):
        return False
    owners = [
        cls
        for cls in kind.__mro__
        if key in inspect.signature(cls.__init__).parameters
    ]
    return bool(owners) and (
        getattr(kind, 'load_data_list', None)
        is getattr(owners[-1], 'load_data_list', None)
    )


def _default(kind: type, key: str) -> Any:
    """Return the default of an argument of a class or of its bases."""
    return next(
        parameters[key].default
        for parameters in (
            inspect.signature(cls.__init__).parameters for cls in kind.__mro__
        )
        if key in parameters
    )


def _files(folder: str) -> Iterator[tuple[str, os.DirEntry]]:
    """Yield the files below a folder, with their paths relative to it."""
    start = len(osp.join(folder, ''))
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_file():
                    yield entry.path[start:], entry
                elif entry.is_dir():
                    folders.append(entry.path)


def _is_listed(name: str) -> bool:
    """Return whether mmengine lists a file: it passes over hidden ones."""
    return not osp.basename(name).startswith('.')


def _raise_no_image(
    path: str, folder: str, expected: str, option: str
) -> NoReturn:
    endings = _endings(name for name, _ in _files(folder) if _is_listed(name))
    raise UsageError(
        f'{path} reads images that end in {expected} from {folder}, but '
        + (
            f'the files there end in {", ".join(endings)}; if those are the '
            f'images, use --cfg-options {option.format(path, endings[0])}'
            if endings
            else 'it has no files; put the images there'
        )
        + f'; to name another place, use --cfg-options {path}.data_root=FOLDER'
    )


def _endings(names: Iterable[str]) -> list[str]:
    """Return the endings of file names, the most frequent first."""
    counts = Counter(osp.splitext(name)[1] for name in names)
    return [ending for ending, _ in counts.most_common() if ending]


def _check_classification(
    path: str, folder: str, endings: tuple[str, ...], labelled: bool
) -> None:
    """Check that a folder, or the folders of its classes, have an image."""
    beside = False
    for name, _ in _files(folder):
        if name.lower().endswith(endings) and _is_listed(name):
            if not labelled or osp.dirname(name):
                return
            beside = True
    if beside:
        raise UsageError(
            f'{path} takes each folder of {folder} for a class, but the '
            'images lie in none; make a folder for each class, or set '
            f'{path}.ann_file or {path}.with_label=False'
        )
    _raise_no_image(path, folder, ' or '.join(endings), "'{}.extensions=[{}]'")


def _check_classes(path: str, folder: str, endings: tuple[str, ...]) -> None:
    """Check that each folder of a class has an image."""
    with os.scandir(folder) as entries:
        classes = sorted(
            entry.name
            for entry in entries
            if entry.is_dir() and _is_listed(entry.name)
        )
    empty = [
        name
        for name in classes
        if not any(
            file.lower().endswith(endings) and _is_listed(file)
            for file, _ in _files(osp.join(folder, name))
        )
    ]
    if empty:
        more = f' and {len(empty) - 5} more' if empty[5:] else ''
        raise UsageError(
            f'{path} takes each of the {len(classes)} folders of {folder} for '
            f'a class, but {", ".join(empty[:5])}{more} '
            f'{"have" if empty[1:] else "has"} no image that ends in '
            f'{" or ".join(endings)}; put images there, or remove the folder '
            'from all splits'
        )


def _check_segmentation(
    path: str, places: dict[str, str], suffix: str, label_suffix: str
) -> None:
    """Check that images and their label maps are there."""
    folder = places['img_path']
    images = dict(_files(folder))
    stems = sorted(
        name.removesuffix(suffix)
        for name in images
        if name.endswith(suffix) and _is_listed(name)
    )
    if not stems:
        _raise_no_image(path, folder, suffix, '{}.img_suffix={}')
    ann_file = places.get('ann_file', '')
    if osp.isfile(ann_file):
        lines = Path(ann_file).read_text(encoding='utf-8').splitlines()
        stems = [line.strip() for line in lines]
        of = f'in {ann_file} '
    else:
        of = ''
    _check_each(
        f'{path}: each image {of}',
        folder,
        images,
        stems,
        suffix,
        f'{path}.img_suffix',
    )
    labels = places.get('seg_map_path', '')
    if osp.isdir(labels):
        _check_each(
            f'{path}: the label of each image {of}',
            labels,
            dict(_files(labels)),
            stems,
            label_suffix,
            f'{path}.seg_map_suffix',
        )


def _check_each(
    what: str,
    folder: str,
    files: dict[str, os.DirEntry],
    stems: Sequence[str],
    suffix: str,
    option: str,
) -> None:
    """Check that each stem with the suffix is a file."""
    names = [stem + suffix for stem in stems]
    missing = [name for name in names if name not in files]
    if missing:
        endings = ', '.join(_endings(files)) or 'nothing, as there are none'
        raise UsageError(
            f'{what}should be a file in {folder} that ends in {suffix}, but '
            f'{len(missing)} of {len(names)} are missing, such as '
            f'{missing[0]}; add them, or, if the suffix is another (the files '
            f'there end in {endings}), set {option}'
        )
