"""Find settings that make scores wrong without an error."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from torch.utils.data import DataLoader

from .build import BATCHES, DryRunner
from .introspection import find_types, walk


def visits_of(loader: DataLoader) -> list[int]:
    """Return the samples of the first batches, more than an epoch has.

    Args:
        loader (DataLoader): A loader of a :class:`.DryRunner`.
    """
    batches = islice(iter(loader.batch_sampler), 4 * BATCHES)
    return [int(index) for batch in batches for index in batch]


def incomplete_evaluation(
    cfg: Config, split: str, loader: DataLoader
) -> Iterator[str]:
    """Yield what keeps a loader from giving every image exactly once.

    Args:
        cfg (Config): The merged config.
        split (str): 'val' or 'test'.
        loader (DataLoader): Its loader, of a :class:`.DryRunner`.
    """
    path, number = f'{split}_dataloader', len(loader.dataset)
    visits = visits_of(loader)
    if 'num_batch_per_epoch' in cfg[path]:
        yield (
            f'`{path}.num_batch_per_epoch` leaves images out of the scores; '
            'remove it'
        )
    elif len(visits) > number:
        yield (
            f'`{path}.sampler` never ends or repeats images; use '
            "dict(type='DefaultSampler', shuffle=False)"
        )
    elif sorted(visits) != list(range(number)):
        yield (
            f'`{path}` leaves images out of the scores; set '
            f'{path}.drop_last=False and use a sampler that gives all of them'
        )
    for place, node in walk(cfg[path], path):
        kinds = find_types(node['type']) if 'type' in node else []
        if {ClassBalancedDataset, RepeatDataset} & {*kinds}:
            yield (
                f'`{place}` counts images several times, since it is a '
                f'{node["type"]}; use the dataset inside it'
            )


def metric_disagreements(dry: DryRunner) -> Iterator[str]:
    """Yield metrics that do not fit the head.

    Args:
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
