"""Build the datasets of a config, to check their files."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope

from mmdavpt.checks.introspection import arguments_of, find_types, walk
from mmdavpt.errors import UsageError

from .checked_dataset import CheckedDataset, Finding, checked_dataset
from .list_findings import class_list_findings, list_findings


def open_datasets(
    cfg: dict, splits: Iterable[str]
) -> tuple[list[CheckedDataset], list[Finding]]:
    """Build the datasets of several splits, without reading their files.

    Args:
        cfg (dict): The config.
        splits (Iterable[str]): Out of 'train', 'val' and 'test'.

    Returns:
        tuple[list[CheckedDataset], list[Finding]]: The datasets, and a
        finding for each split that cannot be built.
    """
    loaders = {split: cfg.get(f'{split}_dataloader') or {} for split in splits}
    nodes = {split: loader.get('dataset') for split, loader in loaders.items()}
    opened, findings = [], []
    for split, node in nodes.items():
        first = next(other for other in nodes if nodes[other] == node)
        if first != split:
            for part in [part for part in opened if part.split == first]:
                path = part.path.replace(first, split, 1)
                new = dict(split=split, path=path, same_as=part.path)
                opened.append(replace(part, **new))
            continue
        try:
            opened += open_split(cfg, split)
        except UsageError as error:
            findings.append(Finding('error', 'unreadable', split, str(error)))
    return opened, findings


def open_split(cfg: dict, split: str) -> list[CheckedDataset]:
    """Build the datasets of a split, without their wrappers.

    Datasets that can download their data are skipped.

    Args:
        cfg (dict): The config.
        split (str): 'train', 'val' or 'test'; may be missing in the config.

    Raises:
        UsageError: If a dataset cannot be built, or lists no images.
    """
    node = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    model = cfg.get('model') or {}
    head = model.get('decode_head') or model.get('head') or {}
    head = head[-1] if isinstance(head, (list, tuple)) else head
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        found = list(_build(node, f'{split}_dataloader.dataset'))
    for path, dataset in found:
        if not len(dataset):
            suffix = getattr(dataset, 'img_suffix', '')
            raise UsageError(
                f'{path} lists no images{suffix and f" that end in {suffix}"}'
                '; check img_suffix, data_root, data_prefix and ann_file'
            )
    head = dict(num_classes=model.get('num_classes')) | head
    return [checked_dataset(split, *item, head) for item in found]


def _build(node: object, path: str) -> Iterator[tuple[str, BaseDataset]]:
    """Build a dataset, and yield those inside wrappers with their paths."""
    node = copy.deepcopy(node)
    for _, part in walk(node):
        for kind in find_types(part.get('type', dict)):
            if 'download' in arguments_of(kind)[0]:
                return
            if 'serialize_data' in arguments_of(kind)[0]:
                # An empty list cannot be serialized.
                part['serialize_data'] = False
    try:
        dataset = DATASETS.build(node) if node else None
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except UsageError as error:
        raise UsageError(f'{path}: {error}') from error
    except Exception as error:
        for finding in _list_errors(node, path.partition('_')[0]):
            raise UsageError(f'{path}: {finding.sentence}') from error
        reason = str(error).strip() or type(error).__name__
        if isinstance(error, FileNotFoundError):
            reason = f'{error.filename} does not exist (looked in {Path.cwd()}'
            home = "; '~' is not expanded, so write the full path"
            reason += f'){home * ("~" in Path(error.filename).parts)}'
        raise UsageError(
            f'{path} cannot be read: {reason}; docs/data.md shows where the '
            'data comes from and its layout; to name another folder, use '
            f'--cfg-options {path}.data_root=FOLDER'
        ) from error
    yield from _leaves(dataset, path)


def _list_errors(node: dict, split: str) -> list[Finding]:
    """Return what is wrong with the lists of datasets that fail to build."""
    found = class_list_findings(node, split)
    for _, part in walk(node):
        if part.get('ann_file'):
            # What else is wrong with it, the error of the dataset says.
            with suppress(Exception):
                dataset = DATASETS.build(dict(part, lazy_init=True))
                found += list_findings(dataset, split)
    return [finding for finding in found if finding.severity == 'error']


def _leaves(dataset: object, path: str) -> Iterator[tuple[str, BaseDataset]]:
    """Yield the datasets inside of wrappers with their paths."""
    for i, inner in enumerate(getattr(dataset, 'datasets', ())):
        yield from _leaves(inner, f'{path}.datasets.{i}')
    if hasattr(dataset, 'dataset'):
        yield from _leaves(dataset.dataset, f'{path}.dataset')
    elif isinstance(dataset, BaseDataset):
        yield path, dataset
