"""Find mistakes in a config that no library reports."""

import inspect
import math
import os.path as osp
import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

import numpy as np
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.hooks import CheckpointHook
from mmengine.optim import DefaultOptimWrapperConstructor, LinearLR
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from mmpretrain.models import MultiLabelClsHead
from mmseg.models import BaseSegmentor
from torch.utils.data import DataLoader

from mmdavpt.engine.class_counts import classes_of_heads, heads_of
from mmdavpt.errors import did_you_mean, first_few

from .build import BATCHES, DryRunner
from .introspection import arguments_of, find_types, keys_read, walk

#: Keys that registries remove from a dict before they call its type.
BUILDER_KEYS = {'type', '_scope_', '_delete_'}
#: Names that only some models have, which shipped schedules mention.
OPTIONAL_NAMES = {'prompts', 'bias_delta', 'gate_logits', 'neck'}
#: A training with fewer optimizer steps hardly changes a model.
FEW_STEPS = 50


def unread_keys(cfg: Config, dry: DryRunner, errors: bool) -> Iterator[str]:
    """Yield keys that their readers never look up.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
        errors (bool): Whether to yield errors instead of warnings: in dicts
            that others may read, only a name close to a key is an error.
    """
    for path, node, known, strict in _dicts_and_readers(cfg, dry):
        for key in sorted(map(str, set(node) - known - BUILDER_KEYS)):
            near = get_close_matches(key, known, n=1, cutoff=0.75)
            if errors == (strict or bool(near)):
                hint = did_you_mean(key, known)
                yield f'nothing reads `{path}.{key}`{hint}'


def _dicts_and_readers(
    cfg: Config, dry: DryRunner
) -> Iterator[tuple[str, dict, set[str], bool]]:
    """Yield path, dict, the keys that are read, and whether these are all."""
    wrapper = cfg.get('optim_wrapper') or {}
    kind = wrapper.get('constructor', DefaultOptimWrapperConstructor)
    paramwise = 'optim_wrapper.paramwise_cfg'
    readers = {'env_cfg': [Runner], 'auto_scale_lr': [Runner]}
    readers[paramwise] = find_types(kind)
    if isinstance(dry.model, BaseSegmentor):
        kinds = {type(module) for module in dry.model.modules()}
        readers |= {'model.train_cfg': kinds, 'model.test_cfg': kinds}
    for path, node in walk(cfg._cfg_dict):
        if path in readers:
            top, _, name = path.rpartition('.')
            yield path, node, keys_read(readers[path], name), not top
        kinds = find_types(node.get('type'))
        if len(kinds) == 1:
            known, drops_others = arguments_of(kinds[0])
            yield path, node if drops_others else {}, known, True
    optimizer = getattr(dry.optim_wrapper, 'optimizer', None)
    if type(optimizer).__module__.startswith('torch.'):
        known = {*optimizer.defaults, 'lr_mult', 'decay_mult'}
        for name, options in _custom_keys(cfg).items():
            yield f'{paramwise}.custom_keys.{name}', options, known, False


def _custom_keys(cfg: Config) -> dict:
    paramwise = (cfg.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    return paramwise.get('custom_keys') or {}


def added_default_hooks(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield default hooks whose names are almost those of mmengine."""
    source = inspect.getsource(Runner.register_default_hooks)
    names = re.findall(r'^ +(\w+)=dict\(type=', source, re.M)
    for name in set(cfg.get('default_hooks') or ()) - set(names):
        if near := get_close_matches(name, names, n=1, cutoff=0.75):
            yield (
                f'`default_hooks.{name}` adds a hook to `{near[0]}` instead '
                f'of replacing it; did you mean {near[0]!r}?'
            )


def hidden_preprocessing(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield options of a data preprocessor that the model's own one hides."""
    model = cfg.model.get('module') or cfg.model  # of a TTA model
    inner = model.get('data_preprocessor') or {}
    outer = cfg.get('data_preprocessor') or {}
    for key in outer if inner else ():
        named = re.fullmatch('mean|std|.*rgb.*|.*pad_val|batch_augments', key)
        if named and not np.array_equal(inner.get(key), outer[key]):
            yield (
                f'`model.data_preprocessor` hides `data_preprocessor.{key}` '
                f'({outer[key]}) and has {inner.get(key)}; set one of the two'
            )


def text_as_classes(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield class names that are one text, which is read by letters."""
    for path, node in walk(cfg._cfg_dict):
        classes = node.get('classes')
        if isinstance(classes, str) and not osp.isfile(classes):
            yield (
                f'`{path}.classes` is the text {classes!r}, and no file has '
                f'this name; list the names, as in classes=[{classes!r}]'
            )


def single_classes(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield heads with one class."""
    heads = heads_of(dry.model)
    for path, classes in classes_of_heads(dry.model).items():
        if classes == 1 and not isinstance(heads[path], MultiLabelClsHead):
            # MMPretrain gives this class the score 1, and MMSegmentation
            # counts all pixels as the class, also those that are not.
            yield (
                f'`model.{path}.num_classes` is 1, so that all scores would '
                'be meaningless; declare the rest as a class too, such as '
                'background'
            )


def learnt_padding(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield heads that would learn the padding of labels as a class."""
    preprocessor = getattr(dry.model, 'data_preprocessor', None)
    value = getattr(preprocessor, 'seg_pad_val', None)
    for path, head in heads_of(dry.model).items():
        ignored = getattr(head, 'ignore_index', value)
        if None not in (value, ignored) and value != ignored:
            yield (
                f'`data_preprocessor.seg_pad_val` is {value}, but '
                f'`model.{path}.ignore_index` is {ignored}, so padding would '
                'be learnt as a class; make them equal'
            )


def endless_epochs(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield samplers without an end in a training that counts epochs."""
    loader = dry.train_dataloader
    by_epoch = not isinstance(dry.train_loop, IterBasedTrainLoop)
    if by_epoch and len(visits_of(loader)) > 2 * len(loader.dataset):
        yield (
            '`train_dataloader.sampler` never ends, but the training counts '
            "epochs; use dict(type='DefaultSampler', shuffle=True), or "
            'train_cfg=dict(by_epoch=False, max_iters=N)'
        )


def unshuffled_training(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield a training that sees its images in the order of the dataset."""
    if visits_of(dry.train_dataloader)[:BATCHES] == [*range(BATCHES)]:
        yield (
            '`train_dataloader.sampler` does not shuffle; set '
            'train_dataloader.sampler.shuffle=True'
        )


def unmatched_patterns(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield patterns of ``custom_keys`` that are in no trained name."""
    parameters = dry.model.named_parameters() if dry.model is not None else ()
    names = [name for name, value in parameters if value.requires_grad]
    patterns = set(_custom_keys(cfg) if names else ()) - OPTIONAL_NAMES
    unused = sorted(p for p in patterns if not any(p in n for n in names))
    if unused:
        yield (
            '`optim_wrapper.paramwise_cfg.custom_keys` has patterns that are '
            f'in no name of a trained parameter: {first_few(unused)}'
        )


def long_warm_ups(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield warm-ups that do not end before the training does."""
    for path, node, built, total in dry.schedules():
        rises = isinstance(built, LinearLR) and built.start_factor < 1
        end = node.get('end', total)
        if rises and total is not None and end >= total:
            yield (
                f'`{path}` ({node["type"]}) warms up until {end}, but the '
                f'training ends at {total}; a shorter one is --cfg-options '
                f'{path}.end={max(1, total // 10)}'
            )


def short_training(runner: Runner) -> str | None:
    """Return a warning if a training has few optimizer steps.

    Args:
        runner (Runner): A runner in ``before_train``.
    """
    loop = runner.train_loop
    each = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    steps = math.ceil(loop.max_iters / each)
    if not 0 < steps < FEW_STEPS:  # the trial step explains 0
        return None
    unit = 'iters' if isinstance(loop, IterBasedTrainLoop) else 'epochs'
    enough = math.ceil(getattr(loop, f'max_{unit}') * FEW_STEPS / steps)
    return (
        f'the training has only {steps} optimizer steps; for {FEW_STEPS}, set '
        f'max_{unit}={enough} or more, or use smaller batches'
    )


def unit_mismatches(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield what counts epochs in a training that counts iterations."""
    parts = [('default_hooks.checkpoint', hook) for hook in dry.hooks]
    parts = [p for p in parts if isinstance(p[1], CheckpointHook)]
    parts += [(path, built) for path, _, built, _ in dry.schedules()]
    for path, part in parts:
        in_epochs = part.by_epoch and not getattr(part, 'need_val_args', False)
        if in_epochs and isinstance(dry.train_loop, IterBasedTrainLoop):
            yield (
                f'`{path}.by_epoch` is True, but the training counts '
                'iterations, so it would not act before the end; set it to '
                'False, and give its lengths in iterations'
            )


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
