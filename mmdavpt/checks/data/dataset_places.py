"""Where the datasets of a config lie, read from the config alone."""

import os.path as osp
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from mmdavpt.checks.introspection import walk
from mmdavpt.errors import UsageError


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


def datasets_of_splits(
    cfg: dict, splits: Iterable[str]
) -> Iterator[tuple[str, str, dict]]:
    """Yield the datasets of some splits of a config, without wrappers.

    Args:
        cfg (dict): The config.
        splits (Iterable[str]): Out of 'train', 'val' and 'test'; those that
            the config lacks are passed over.

    Yields:
        tuple[str, str, dict]: Split, dotted path, and dataset.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            place = f'{split}_dataloader.dataset'
            for path, dataset in datasets_of(loader['dataset'], place):
                yield split, path, dataset


def places_of(dataset: dict, scope: str) -> dict[str, str]:
    """Return the places that a dataset's config names.

    Only MMPretrain expands '~', and neither in the root nor in a dict.

    Args:
        dataset (dict): The config of a dataset, and not of a wrapper.
        scope (str): The default scope of the config.

    Returns:
        Dict[str, str]: Name to path, the root first. Labels that will not be
        read are left out.
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
    if not reads_labels(dataset):
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


def reads_labels(dataset: dict) -> bool:
    """Return whether label maps, where they are named, will be read."""
    if dataset.get('test_mode'):
        return False
    return 'pipeline' not in dataset or any(
        'Annotation' in str(node.get('type'))
        for _, node in walk(dataset['pipeline'])
    )


def raise_missing(path: str, place: str) -> NoReturn:
    """Say that a place does not exist.

    Args:
        path (str): Path of the dataset in the config.
        place (str): The missing file or folder.

    Raises:
        UsageError: Always.
    """
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
