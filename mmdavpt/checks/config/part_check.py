"""The parts of a run besides the model, built to see that they can be."""

import copy
import inspect
import os.path as osp
from collections.abc import Iterator, Sequence

from mmengine.dataset import BaseDataset
from mmengine.registry import HOOKS, LOG_PROCESSORS, METRICS, TRANSFORMS
from mmengine.runner import get_priority

from mmdavpt.checks.data.dataset_places import datasets_of_splits, places_of
from mmdavpt.errors import UsageError

from .build_check import build_part, building, scope_of
from .config_keys import holder, walk
from .optimizer_check import check_optimizer
from .type_places import resolve_type

#: What makes a metric make folders.
WRITES = {'outfile_prefix', 'output_dir'}


def check_parts(cfg: dict, training: bool) -> None:
    """Raise if a part of a run besides the model cannot be built.

    Datasets list nothing meanwhile. What needs others to be built, such as a
    sampler or a hook that draws, is left to the run.

    Args:
        cfg (dict): The merged config, with plain values.
        training (bool): Whether it is to train, and not to test.

    Raises:
        UsageError: If so.
    """
    splits = ('train', 'val') if training else ('test',)
    with scope_of(cfg):
        for split in splits:
            for path, node in _metrics(cfg, split):
                build_part(METRICS, path, node)
        if cfg.get('log_processor'):
            node = dict(cfg['log_processor'])
            node.setdefault('type', 'LogProcessor')
            build_part(LOG_PROCESSORS, 'log_processor', node)
        for path, node in _hooks(cfg):
            with building(f'{path}.priority', 'read'):
                get_priority(node.get('priority') or 'NORMAL')
            # The runner takes it out.
            own = {k: v for k, v in node.items() if k != 'priority'}
            build_part(HOOKS, path, own)
    check_transforms(cfg, splits)
    check_datasets(cfg, splits)
    if training:
        check_optimizer(cfg)


def _metrics(cfg: dict, split: str) -> Iterator[tuple[str, dict]]:
    name = f'{split}_evaluator'
    given = cfg.get(name) or []
    if isinstance(given, dict) and 'metrics' in given:
        name, given = f'{name}.metrics', given['metrics'] or []
    for i, node in enumerate([given] if isinstance(given, dict) else given):
        if not WRITES & set(node):
            path = name if isinstance(given, dict) else f'{name}.{i}'
            yield path, node


def _hooks(cfg: dict) -> Iterator[tuple[str, dict]]:
    default = cfg.get('default_hooks') or {}
    for path, node in (
        *((f'default_hooks.{key}', hook) for key, hook in default.items()),
        *(
            (f'custom_hooks.{i}', hook)
            for i, hook in enumerate(cfg.get('custom_hooks') or [])
        ),
    ):
        if node is not None and 'Visualization' not in str(node['type']):
            yield path, node


def check_datasets(cfg: dict, splits: Sequence[str]) -> None:
    """Raise if a dataset of mmengine's kind cannot be built, still unread.

    Args:
        cfg (dict): The merged config, with plain values.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.

    Raises:
        UsageError: If so.
    """
    for _, path, dataset in datasets_of_splits(cfg, splits):
        kinds = resolve_type(dataset['type'], cfg.get('default_scope'))
        if not inspect.isclass(kinds[0]) or not issubclass(
            kinds[0], BaseDataset
        ):
            continue
        arguments = copy.deepcopy(dataset)
        for key in ('type', '_scope_', 'pipeline', 'lazy_init'):
            arguments.pop(key, None)
        # Some look for their folders, which the check of data names.
        places = places_of(dataset, cfg.get('default_scope')).values()
        if all(map(osp.exists, places)):
            with building(path):
                kinds[0](**arguments, pipeline=[], lazy_init=True)
        _check_packed(path, dataset, cfg.get('default_scope'))


def check_transforms(cfg: dict, splits: Sequence[str]) -> None:
    """Raise if a transform of a pipeline cannot be built.

    Args:
        cfg (dict): The merged config, with plain values.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.

    Raises:
        UsageError: If so.
    """
    with scope_of(cfg):
        for split in splits:
            name = f'{split}_dataloader'
            for path, node in walk(cfg.get(name), name):
                if holder(path) == 'pipeline':
                    build_part(TRANSFORMS, path, node)


def _check_packed(path: str, dataset: dict, scope: str | None) -> None:
    """Raise if only hosts' transforms are there, and none packs a sample."""
    pipeline = dataset.get('pipeline') or []
    # Also those within the transforms of a test with augmentation.
    for _, node in walk(list(pipeline)):
        if 'type' not in node:
            continue
        kinds = resolve_type(node['type'], scope)
        if 'Pack' in str(node['type']) or not all(
            kind.__module__.startswith(('mmcv.', 'mmpretrain.', 'mmseg.'))
            for kind in kinds
        ):
            return
    raise UsageError(
        f'the config cannot be run: `{path}.pipeline` should end in '
        'PackInputs (PackSegInputs for segmentation), but has '
        f'{[node["type"] for node in pipeline] or "no transforms"}'
    )
