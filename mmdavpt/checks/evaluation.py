"""Find settings that make scores wrong without an error."""

import re
from collections.abc import Iterator
from itertools import islice

from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop
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


def evaluations(dry: DryRunner) -> list[tuple[str, BaseLoop]]:
    """Return the loops of a run that evaluate, by their split."""
    loops = [('val', dry.val_loop), ('test', dry.test_loop)]
    return [(split, loop) for split, loop in loops if loop is not None]


def incomplete_evaluation(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield what keeps a loader from giving every image exactly once."""
    for split, loop in evaluations(dry):
        path, loader = f'{split}_dataloader', loop.dataloader
        every_one = sorted(visits_of(loader)) == [*range(len(loader.dataset))]
        if 'num_batch_per_epoch' in cfg[path] or not every_one:
            yield (
                f'`{path}` leaves images out of the scores or repeats some; '
                'set drop_last=False, remove num_batch_per_epoch, and use '
                "sampler=dict(type='DefaultSampler', shuffle=False)"
            )
        for place, node in walk(cfg[path], path):
            kinds = find_types(node.get('type'))
            if {ClassBalancedDataset, RepeatDataset} & {*kinds}:
                yield (
                    f'`{place}` counts images several times, since it is a '
                    f'{node["type"]}; use the dataset inside it'
                )


def metric_disagreements(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield metrics that ignore another label than the head."""
    head = getattr(dry.model, 'decode_head', None)
    ignored = getattr(head, 'ignore_index', None)
    for split, loop in evaluations(dry):
        for metric in loop.evaluator.metrics:
            value = vars(metric).get('ignore_index', ignored)
            if None not in (value, ignored) and value != ignored:
                yield (
                    f'{type(metric).__name__} of `{split}_evaluator` ignores '
                    f'label {value}, but the head {ignored}; set '
                    f'{split}_evaluator.ignore_index={ignored}'
                )


def wrong_rules(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield parts that take the worst value of a metric for the best."""
    for part in [*dry.hooks, *(built for _, _, built, _ in dry.schedules())]:
        # Of a CheckpointHook with save_best, or of what monitors a metric.
        metrics = getattr(part, 'key_indicators', [vars(part).get('monitor')])
        rules = getattr(part, 'rules', [vars(part).get('rule')])
        for metric, rule in zip(metrics, rules, strict=False):
            better = better_values(str(metric))
            if better and rule and rule != better:
                yield (
                    f"{type(part).__name__} has rule='{rule}' for {metric}, "
                    f'so it would take the worst value for the best; set '
                    f"rule='{better}'"
                )


def better_values(metric: str) -> str | None:
    """Return the rule of a metric that mmengine knows.

    Args:
        metric (str): The name, such as 'accuracy/top1'. mmengine matches
            parts of words, such as 'map' in 'mape'; here whole words match.

    Returns:
        str | None: 'greater' or 'less'; None if the metric is unknown.
    """
    words = set(re.findall('[a-z@]+', metric.lower()))
    for rule in ('greater', 'less'):
        known = getattr(CheckpointHook, f'_default_{rule}_keys')
        if words & {name.lower() for name in known}:
            return rule
    return None
