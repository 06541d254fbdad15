"""Find settings that make scores wrong without an error."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.runner.runner import _SlicedDataset
from torch.utils.data import DataLoader

from .build import BATCHES, DryRunner
from .introspection import walk


def visits_of(loader: DataLoader) -> list[int]:
    """Return the samples of the first batches, more than an epoch has.

    Args:
        loader (DataLoader): A loader of a :class:`.DryRunner`.
    """
    batches = islice(iter(loader.batch_sampler), 4 * BATCHES)
    return [int(index) for batch in batches for index in batch]


def incomplete_evaluation(split: str, loader: DataLoader) -> Iterator[str]:
    """Yield a loader that does not give every image exactly once.

    Args:
        split (str): 'val' or 'test'.
        loader (DataLoader): Its loader, of a :class:`.DryRunner`.
    """
    visits, path, dataset = (
        visits_of(loader),
        f'{split}_dataloader',
        loader.dataset,
    )
    if isinstance(dataset, _SlicedDataset):
        yield (
            f'`{path}.num_batch_per_epoch` leaves images out of the scores; '
            'remove it'
        )
    elif len(visits) > len(dataset):
        yield (
            f'`{path}.sampler` never ends or repeats images; use '
            "dict(type='DefaultSampler', shuffle=False)"
        )
    elif sorted(visits) != list(range(len(dataset))):
        yield (
            f'`{path}` leaves images out of the scores; set '
            f'{path}.drop_last=False and use a sampler that gives all of them'
        )
    for part in _parts_of(dataset):
        if isinstance(part, (ClassBalancedDataset, RepeatDataset)):
            yield (
                f'`{path}.dataset` counts images several times, since it is a '
                f'{type(part).__name__}; use the dataset inside it'
            )


def _parts_of(dataset: Any) -> Iterator[Any]:
    """Yield a dataset and those that it wraps."""
    yield dataset
    inner = vars(dataset).get('dataset') if dataset is not None else None
    for part in (inner, *getattr(dataset, 'datasets', ())):
        if part is not None:
            yield from _parts_of(part)


def partial_evaluation(cfg: Config, training: bool) -> Iterator[str]:
    """Yield a set of the scores of which a config takes a part.

    Args:
        cfg (Config): The merged config.
        training (bool): Whether the run is a training, not a test.
    """
    part = f'{"val" if training else "test"}_dataloader'
    for path, node in walk(cfg.get(part), part):
        if node.get('type') and node.get('indices') is not None:
            yield (
                f'`{path}.indices` is set, so the scores are of a part of the '
                'images'
            )


def metric_disagreements(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield metrics and datasets that do not fit the head.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
    """
    head = getattr(dry.model, 'decode_head', getattr(dry.model, 'head', None))
    ignored = getattr(head, 'ignore_index', None)
    classes = getattr(head, 'num_classes', None)
    for split, loop in (('val', dry.val_loop), ('test', dry.test_loop)):
        for metric in loop.evaluator.metrics if loop is not None else ():
            name, own = type(metric).__name__, metric.__dict__
            value = own.get('ignore_index', ignored)
            if None not in (value, ignored) and value != ignored:
                yield (
                    f'{name} of `{split}_evaluator` ignores label {value}, '
                    f'but the head {ignored}; set {split}_evaluator.'
                    f'ignore_index={ignored}'
                )
            most = np.max(own.get('topk') or 1)
            if classes is not None and most > classes:
                yield (
                    f'{name} of `{split}_evaluator` needs {most} classes for '
                    f'topk={most}, but there are {classes}; lower topk'
                )
    for path, node in walk(cfg._cfg_dict):
        value = node.get('ignore_index') if 'pipeline' in node else None
        if None not in (value, ignored) and value != ignored:
            yield (
                f'MMSegmentation does not read `{path}.ignore_index`, which '
                f'is {value}; the labels that are ignored are those of the '
                f'head: model.decode_head.ignore_index, which is {ignored}'
            )
