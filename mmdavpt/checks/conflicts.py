"""Find options that contradict each other, or what they stand for."""

import re
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmseg.models import CrossEntropyLoss
from torch import nn

from mmdavpt.engine.class_counts import heads_of

from .build import DryRunner


def find_conflicts(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield a sentence for each conflict.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
    """
    if dry.train_loop is not None:
        yield from wrong_rules(dry)
        yield from weighted_averages(dry.model)


def wrong_rules(dry: DryRunner) -> Iterator[str]:
    """Yield parts that take the worst value of a metric for the best."""
    for part in [*dry.hooks, *(built for _, _, built in dry.schedules)]:
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
    known = dict(
        greater=CheckpointHook._default_greater_keys,
        less=CheckpointHook._default_less_keys,
    )
    for rule, names in known.items():
        if words & {name.lower() for name in names}:
            return rule
    return None


def weighted_averages(model: nn.Module | None) -> Iterator[str]:
    """Yield losses that fail on weighted classes with ignored pixels."""
    for path, head in heads_of(model).items():
        for loss in head.modules():
            if (
                isinstance(loss, CrossEntropyLoss)
                and not (loss.use_sigmoid or loss.use_mask)
                and loss.class_weight is not None
                and loss.avg_non_ignore
            ):
                yield (
                    f'the loss of `model.{path}` has class_weight and '
                    'avg_non_ignore=True, with which MMSegmentation fails; '
                    'remove avg_non_ignore: with class_weight, only pixels '
                    'that are not ignored count in any case'
                )


def uncounted_accumulation(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield a rate that is scaled by a part of the images of a step.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
    """
    scale = cfg.get('auto_scale_lr') or {}
    steps = getattr(dry.optim_wrapper, '_accumulative_counts', 1)
    if scale.get('enable') and steps > 1:
        yield (
            '`auto_scale_lr` scales the learning rate by the images of one '
            f'iteration, but the optimizer steps after {steps} iterations; '
            f'to count all images of a step, divide base_batch_size by {steps}'
        )
