"""Checks of files before a run loads anything."""

import inspect
import os
import os.path as osp
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from .config_keys import resolve_type, walk
from .errors import UsageError

CONFIGS = Path(__file__).parents[2] / 'configs'


def is_local(path: str) -> bool:
    """Return whether a path is a place on this machine, and no address."""
    return '://' not in path


def check_config_exists(path: str) -> None:
    """Raise a sentence with similar names if a config file is missing.

    Args:
        path (str): Path of the config file.
    """
    if osp.isfile(path):
        return
    folder = Path(path).parent
    found = [p for p in folder.glob('*.py')] if folder.is_dir() else []
    found += [p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts]
    by_name = {p.name: p for p in reversed(found)}
    near = get_close_matches(Path(path).name, by_name, n=3, cutoff=0.5)
    hint = (
        'similar ones are '
        + ', '.join(osp.relpath(by_name[name]) for name in near)
        if near
        else f'the configs are in {osp.relpath(CONFIGS)}'
    )
    raise UsageError(f'the config {path} does not exist; {hint}')


def check_checkpoint_exists(path: str, use: str) -> None:
    """Raise a sentence if a checkpoint file is missing.

    Args:
        path (str): Path or address of the checkpoint.
        use (str): What it is for, as a noun phrase.
    """
    if not is_local(path) or osp.isfile(osp.expanduser(path)):
        return
    folder = Path(osp.expanduser(path)).parent
    found = (
        sorted(
            p.name
            for kind in ('*.pth', '*.safetensors')
            for p in folder.glob(kind)
        )
        if folder.is_dir()
        else []
    )
    hint = (
        f'its folder has {", ".join(found[:5])}'
        if found
        else f'its folder {folder} has no checkpoint'
    )
    raise UsageError(f'{use} {path} does not exist; {hint}')


def check_pretrained(model: dict) -> None:
    """Raise a sentence if pre-trained weights of a model are missing.

    Args:
        model (dict): The model's config.
    """
    for path, node in walk(model, 'model'):
        if node.get('type') == 'Pretrained' and is_local(node['checkpoint']):
            weights = node['checkpoint']
            if not osp.isfile(osp.expanduser(weights)):
                raise UsageError(
                    f'the pre-trained weights {weights} do not exist; '
                    'docs/data.md says what the file must hold; to name '
                    'another file, use '
                    f'--cfg-options {path}.checkpoint=FILE'
                )


def check_schedule(cfg: dict) -> None:
    """Raise a sentence if a schedule begins after the training has ended.

    Args:
        cfg (dict): The config.
    """
    train = cfg.get('train_cfg') or {}
    schedules = cfg.get('param_scheduler') or []
    for i, schedule in enumerate(
        schedules if isinstance(schedules, (list, tuple)) else [schedules]
    ):
        unit = 'epochs' if schedule.get('by_epoch', True) else 'iters'
        total = train.get(f'max_{unit}')
        if total is not None and schedule.get('begin', 0) >= total:
            raise UsageError(
                f'param_scheduler.{i} ({schedule["type"]}) begins after '
                f'{schedule["begin"]} {unit}, but the training ends after '
                f'{total}; train longer, or set '
                f'--cfg-options param_scheduler.{i}.begin=0 (and '
                'param_scheduler.0.end=1, if that warms up)'
            )


def datasets_of(dataset: dict, path: str) -> Iterator[tuple[str, dict]]:
    """Yield the datasets inside wrappers, with their dotted paths.

    Args:
        dataset (dict): The config of a dataset or of a wrapper.
        path (str): Its path in the config.
    """
    if isinstance(dataset.get('dataset'), dict):
        yield from datasets_of(dataset['dataset'], f'{path}.dataset')
    elif isinstance(dataset.get('datasets'), (list, tuple)):
        for i, inner in enumerate(dataset['datasets']):
            yield from datasets_of(inner, f'{path}.datasets.{i}')
    else:
        yield path, dataset


def check_data(cfg: dict, splits: Sequence[str]) -> None:
    """Raise a sentence if files of a dataset are missing or empty.

    Folders are listed, and no file but a list of names is opened, so that
    20,000 images take well below a second on a local disk.

    Args:
        cfg (dict): The config.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.

    Raises:
        UsageError: If a named file or folder does not exist, a folder has no
            image that the dataset would list, or a segmentation dataset
            lacks images or labels, or has empty ones.
    """
    scope = cfg.get('default_scope', 'mmengine')
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader is None:
            continue
        for path, dataset in datasets_of(
            loader['dataset'], f'{split}_dataloader.dataset'
        ):
            places = _places(dataset, scope)
            for place in places.values():
                if is_local(place) and not osp.exists(place):
                    _raise_missing(path, place)
            if all(map(is_local, places.values())) and 'type' in dataset:
                for kind in resolve_type(dataset['type'], scope):
                    _check_listing(path, dataset, places, kind)


def _places(dataset: dict, scope: str) -> dict[str, str]:
    """Return name -> path of what a dataset reads, its root first.

    Only MMPretrain expands '~', and neither in the root nor in a dict.
    """
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    ann_file = dataset.get('ann_file') or ''
    of_host = str(dataset.get('type', '')).rpartition('.')[0] or scope
    if of_host == 'mmpretrain':
        ann_file = osp.expanduser(ann_file)
    if isinstance(prefix, str):
        prefix = dict(img_path=osp.expanduser(prefix))
    below = dict(prefix)
    if not _reads_labels(dataset):
        below.pop('seg_map_path', None)
    places = dict(data_root=root) if root else {}
    places.update(
        (key, osp.join(root, name))
        for key, name in below.items()
        if name or root
    )
    if ann_file:
        places['ann_file'] = osp.join(root, ann_file)
    return places


def _reads_labels(dataset: dict) -> bool:
    """Return whether label maps, where they are named, will be read."""
    if dataset.get('test_mode'):
        return False
    return 'pipeline' not in dataset or any(
        'Annotation' in str(node.get('type'))
        for _, node in walk(dataset['pipeline'])
    )


def _raise_missing(path: str, place: str) -> NoReturn:
    tilde = (
        " and '~' stands for no folder here, so write the full path"
        if '~' in Path(place).parts
        else ''
    )
    raise UsageError(
        f'{path} reads {place}, which does not exist (looked in '
        f'{Path.cwd()}){tilde}; docs/data.md shows where the data comes from '
        'and how it is laid out; to name another place, use --cfg-options '
        f'{path}.data_root=FOLDER'
    )


def _check_listing(
    path: str, dataset: dict, places: dict[str, str], kind: Any
) -> None:
    """Check what a dataset would list, if the hosts' code lists it."""
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
        _check_classification(
            path, folder, endings, dataset.get('with_label', True)
        )


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


def _check_segmentation(
    path: str, places: dict[str, str], suffix: str, label_suffix: str
) -> None:
    """Check that images and their label maps are there and not empty."""
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
    """Check that each stem with the suffix is a file that is not empty."""
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
    empty = [name for name in names if files[name].stat().st_size == 0]
    if empty:
        raise UsageError(
            f'{what}should have content, but {len(empty)} of {len(names)} in '
            f'{folder} are empty (0 bytes), such as {empty[0]}; copy them '
            'again, or leave those images out'
        )
