"""Build the datasets of a config, to check the samples that they list."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope

from mmdavpt.checks.introspection import arguments_of, find_types, walk
from mmdavpt.datasets.sample_check import SampleCheck, sample_check
from mmdavpt.errors import UsageError

from .finding import Finding
from .lists import class_list_findings, list_findings


def sample_checks(
    cfg: dict, split: str
) -> Iterator[tuple[str, BaseDataset, SampleCheck]]:
    """Build the datasets of a split, and yield the check of each.

    Datasets that can download their data are skipped.

    Args:
        cfg (dict): The config.
        split (str): 'train', 'val' or 'test'; may be missing in the config.

    Yields:
        tuple[str, BaseDataset, SampleCheck]: The path in the config, the
        dataset, not a wrapper of others, and its check.

    Raises:
        UsageError: If a dataset cannot be built, or lists no images.
    """
    node = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    model = cfg.get('model') or {}
    head = model.get('decode_head') or model.get('head') or {}
    head = head[-1] if isinstance(head, (list, tuple)) else head
    num_classes = head.get('num_classes', model.get('num_classes'))
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        found = list(_build(node, f'{split}_dataloader.dataset'))
    for path, dataset in found:
        if not len(dataset):
            suffix = getattr(dataset, 'img_suffix', '')
            raise UsageError(
                f'{path} lists no images{suffix and f" that end in {suffix}"}'
                '; check img_suffix, data_root, data_prefix and ann_file'
            )
        ignored = head.get('ignore_index', 255)
        yield path, dataset, sample_check(dataset, num_classes, ignored)


def _build(node: Any, path: str) -> Iterator[tuple[str, BaseDataset]]:
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
        split = path.partition('_')[0]
        for finding in _list_errors(node, split):
            raise UsageError(f'{path}: {finding.sentence}') from error
        missing = getattr(error, 'filename', None)
        reason = str(error).strip() or type(error).__name__
        if missing:
            reason = f'{missing} does not exist (looked in {Path.cwd()})'
            if '~' in Path(missing).parts:
                reason += "; '~' is not expanded, so write the full path"
        raise UsageError(
            f'{path} cannot be read: {reason}; docs/data.md shows where the '
            'data comes from and its layout; to name another folder, use '
            f'--cfg-options {path}.data_root=FOLDER'
        ) from error
    yield from _inside_wrappers(dataset, path)


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


def _inside_wrappers(
    dataset: Any, path: str
) -> Iterator[tuple[str, BaseDataset]]:
    for i, inner in enumerate(getattr(dataset, 'datasets', ())):
        yield from _inside_wrappers(inner, f'{path}.datasets.{i}')
    if hasattr(dataset, 'dataset'):
        yield from _inside_wrappers(dataset.dataset, f'{path}.dataset')
    elif isinstance(dataset, BaseDataset):
        yield path, dataset
