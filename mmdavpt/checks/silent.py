"""Find mistakes in a config that no library reports."""

import inspect
import os.path as osp
import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.optim import DefaultOptimWrapperConstructor, LinearLR
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.models import ClsHead
from mmpretrain.models import CrossEntropyLoss as ClsCrossEntropyLoss
from mmseg.models import BaseSegmentor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from mmdavpt.engine.class_counts import heads_of
from mmdavpt.errors import did_you_mean, first_few
from mmdavpt.models.added import ADDED

from .build import BATCHES, DryRunner, schedules_of
from .introspection import (
    argument_names,
    find_types,
    ignores_unknown_arguments,
    keys_read,
    walk,
)

#: What registries take out of a dict before they call its type.
BUILDER_KEYS = {'type', '_scope_', '_delete_'}


def find_errors(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield a sentence for each silent mistake.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
    """
    yield from unread_names(cfg, dry)
    yield from unread_arguments(cfg, dry)
    yield from unread_options(cfg, dry, _misspelt)
    yield from repeated_default_hooks(cfg, dry)
    yield from hidden_normalization(cfg)
    yield from text_as_classes(cfg)
    yield from single_outputs(dry.model)
    yield from learnt_padding(dry.model)
    if dry.train_loop is not None:
        yield from empty_training(dry)
        yield from endless_epochs(dry)
        yield from unit_mismatches(cfg, dry)
    for split, loop in (('val', dry.val_loop), ('test', dry.test_loop)):
        if loop is not None:
            yield from incomplete_evaluation(split, loop.dataloader)


def find_warnings(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield a sentence for what is probably a mistake.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
    """
    yield from unread_options(cfg, dry, _unread)
    if dry.train_loop is not None:
        yield from unmatched_patterns(cfg, dry)
        yield from long_warm_ups(cfg, dry)
        yield from unshuffled_training(dry)


def _unread(path: str, node: Any, known: set[str]) -> Iterator[str]:
    """Yield the keys of a dict that are not among those that are read."""
    keys = map(str, node if isinstance(node, dict) else ())
    for key in sorted(set(keys) - known - BUILDER_KEYS):
        yield f'nothing reads `{path}.{key}`' + did_you_mean(key, known)


def _misspelt(path: str, node: Any, known: set[str]) -> Iterator[str]:
    """Yield the keys of a dict that are close to one that is read."""
    for key in set(node if isinstance(node, dict) else ()) - known:
        if get_close_matches(key, known, n=1, cutoff=0.75):
            yield from _unread(path, {key: None}, known)


def unread_names(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield names in plain dicts that the code that gets them never reads."""
    for name in ('env_cfg', 'auto_scale_lr'):
        yield from _unread(name, cfg.get(name), keys_read([Runner], name))
    wrapper = cfg.get('optim_wrapper') or {}
    kind = wrapper.get('constructor', DefaultOptimWrapperConstructor)
    known = keys_read(find_types(kind), 'paramwise_cfg')
    given = wrapper.get('paramwise_cfg')
    yield from _unread('optim_wrapper.paramwise_cfg', given, known)
    for path, node in walk(cfg.model, 'model'):
        if isinstance(node.get('arch'), dict):
            kinds = find_types(node.get('type'))
            known = keys_read(kinds, 'arch(?:_settings)?')
            yield from _unread(f'{path}.arch', known and node['arch'], known)


def unread_options(
    cfg: Config, dry: DryRunner, find: Callable
) -> Iterator[str]:
    """Yield options that a model or torch's optimizers never read.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
        find (Callable): Finds keys of a dict, given its path and those that
            are read.
    """
    if isinstance(dry.model, BaseSegmentor):
        kinds = {type(module) for module in dry.model.modules()}
        for name in ('train_cfg', 'test_cfg'):
            known = keys_read([*kinds, 'mmdavpt.models'], name)
            yield from find(f'model.{name}', cfg.model.get(name), known)
    optimizer = getattr(dry.optim_wrapper, 'optimizer', None)
    if type(optimizer).__module__.startswith('torch.'):
        known = {*optimizer.defaults, 'lr_mult', 'decay_mult'}
        for name, options in _custom_keys(cfg).items():
            path = f'optim_wrapper.paramwise_cfg.custom_keys.{name}'
            yield from find(path, options, known)


def unread_arguments(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield arguments that a constructor takes as ``**kwargs`` and drops."""
    for path, node in walk(cfg._cfg_dict):
        kinds = find_types(node['type']) if 'type' in node else []
        if len(kinds) == 1 and ignores_unknown_arguments(kinds[0]):
            yield from _unread(path, node, argument_names(kinds[0]))
    saving = argument_names(Runner.save_checkpoint)
    for hook in dry.hooks:
        # A test saves nothing, and its runner keeps mmengine's hook.
        if isinstance(hook, CheckpointHook) and dry.train_loop is not None:
            known = argument_names(type(hook)) | saving
            yield from _unread('default_hooks.checkpoint', hook.args, known)


def repeated_default_hooks(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield default hooks under a name that replaces none of them."""
    source = inspect.getsource(Runner.register_default_hooks)
    names = re.findall(r'^ +(\w+)=dict\(type=', source, re.M)
    kinds = [type(hook) for hook in dry.default_hooks]
    for name, node in (cfg.get('default_hooks') or {}).items():
        if name in names or not isinstance(node, dict):
            continue
        for kind in find_types(node['type']):
            if sum(issubclass(kind, k) for k in kinds) > 1:
                yield (
                    f'`default_hooks.{name}` adds a second {kind.__name__}'
                    + did_you_mean(name, names)
                )


def hidden_normalization(cfg: Config) -> Iterator[str]:
    """Yield normalization at the top that the model's own one hides."""
    inner = cfg.model.get('data_preprocessor')
    outer = cfg.get('data_preprocessor')
    if not isinstance(inner, dict) or not isinstance(outer, dict):
        return
    for key in ('mean', 'std', 'to_rgb', 'bgr_to_rgb', 'rgb_to_bgr'):
        if key in outer and inner.get(key) != outer[key]:
            yield (
                f'`model.data_preprocessor` hides `data_preprocessor.{key}` '
                f'({outer[key]}) and has {inner.get(key)}; set one of the two'
            )


def text_as_classes(cfg: Config) -> Iterator[str]:
    """Yield class names that are one text, which is read by letters."""
    for path, node in walk(cfg._cfg_dict):
        classes = node.get('classes') if path.endswith('metainfo') else None
        if isinstance(classes, str) and not osp.isfile(classes):
            yield (
                f'`{path}.classes` is the text {classes!r}, and no file has '
                f'this name; list the names, as in classes=[{classes!r}]'
            )


def single_outputs(model: nn.Module | None) -> Iterator[str]:
    """Yield heads with a softmax over one output, whose loss is always 0."""
    for path, head in heads_of(model).items():
        if isinstance(head, BaseDecodeHead):
            outputs, losses = head.out_channels, head.loss_decode
            losses = losses if isinstance(losses, nn.ModuleList) else [losses]
        elif isinstance(head, ClsHead):
            outputs = getattr(head, 'num_classes', None)
            losses = [getattr(head, 'loss_module', None)]
            losses = [m for m in losses if isinstance(m, ClsCrossEntropyLoss)]
        else:
            continue
        if outputs == 1 and any(
            getattr(loss, 'use_sigmoid', None) is False for loss in losses
        ):
            yield (
                f'`model.{path}` has one output, of which a softmax is always '
                '1 and its loss 0; set use_sigmoid=True in its loss, or give '
                'it two classes'
            )


def learnt_padding(model: nn.Module | None) -> Iterator[str]:
    """Yield heads that would learn the padding of labels as a class."""
    value = getattr(
        getattr(model, 'data_preprocessor', None), 'seg_pad_val', None
    )
    for path, head in heads_of(model).items():
        ignored = getattr(head, 'ignore_index', value)
        if None not in (value, ignored) and value != ignored:
            yield (
                f'`data_preprocessor.seg_pad_val` is {value}, but '
                f'`model.{path}.ignore_index` is {ignored}, so padding would '
                'be learnt as a class; make them equal'
            )


def _visits(loader: Any) -> list[int]:
    """Return the samples of the first batches, more than an epoch has."""
    batches = islice(iter(loader.batch_sampler), 4 * BATCHES)
    return [int(index) for batch in batches for index in batch]


def incomplete_evaluation(split: str, loader: Any) -> Iterator[str]:
    """Yield a loader that does not give every image exactly once."""
    visits, path = _visits(loader), f'{split}_dataloader'
    if len(visits) > len(loader.dataset):
        yield (
            f'`{path}.sampler` never ends or repeats images; use '
            "dict(type='DefaultSampler', shuffle=False)"
        )
    elif sorted(visits) != list(range(len(loader.dataset))):
        yield (
            f'`{path}` leaves images out of the scores; set '
            f'{path}.drop_last=False and use a sampler that gives all of them'
        )


def empty_training(dry: DryRunner) -> Iterator[str]:
    """Yield that a training has no step."""
    for key in ('max_epochs', 'max_iters'):
        value = getattr(dry.train_loop, f'_{key}', 1)
        if value < 1:
            yield f'`train_cfg.{key}` is {value}, so nothing is trained'


def endless_epochs(dry: DryRunner) -> Iterator[str]:
    """Yield a sampler without an end where the training counts epochs."""
    loader = dry.train_loop.dataloader
    if not isinstance(dry.train_loop, IterBasedTrainLoop) and (
        len(_visits(loader)) > 2 * len(loader.dataset)
    ):
        yield (
            '`train_dataloader.sampler` never ends, but the training counts '
            "epochs; use dict(type='DefaultSampler', shuffle=True), or "
            'train_cfg=dict(by_epoch=False, max_iters=N)'
        )


def unshuffled_training(dry: DryRunner) -> Iterator[str]:
    """Yield a training that sees its images in the order of the dataset."""
    first = _visits(dry.train_loop.dataloader)[: len(dry.train_dataloader)]
    if first == list(range(len(first))):
        yield (
            '`train_dataloader.sampler` does not shuffle; set '
            'train_dataloader.sampler.shuffle=True'
        )


def _custom_keys(cfg: Config) -> dict:
    paramwise = cfg.optim_wrapper.get('paramwise_cfg') or {}
    return paramwise.get('custom_keys') or {}


def unmatched_patterns(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield patterns of ``custom_keys`` that are in no trained name."""
    if dry.model is None:
        return
    parameters = dry.model.named_parameters()
    names = [name for name, value in parameters if value.requires_grad]
    # Shipped schedules name all that a backbone's options can add.
    patterns = set(_custom_keys(cfg)) - set(ADDED)
    unused = sorted(p for p in patterns if not any(p in n for n in names))
    if unused:
        yield (
            '`optim_wrapper.paramwise_cfg.custom_keys` has patterns that are '
            f'in no name of a trained parameter: {first_few(unused)}'
        )


def _schedules(cfg: Config, dry: DryRunner) -> Iterable[tuple]:
    """Return path, config and object of the schedules of one optimizer."""
    built = dry.param_schedulers
    nodes = schedules_of(cfg) if isinstance(built, list) else []
    return ((*one, s) for one, s in zip(nodes, built or (), strict=False))


def long_warm_ups(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield warm-ups that do not end before the training does."""
    for path, node, built in _schedules(cfg, dry):
        total = dry.length_for(node)
        end = node.get('end', total)
        rises = isinstance(built, LinearLR) and built.start_factor < 1
        if (
            total is not None
            and rises
            and built.end_factor == 1 <= total <= end
        ):
            yield (
                f'`{path}` ({node["type"]}) warms up until {end}, but the '
                f'training ends at {total}; a shorter one is --cfg-options '
                f'{path}.end={max(1, total // 10)}'
            )


def unit_mismatches(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield what counts epochs in a training that counts iterations."""
    if not isinstance(dry.train_loop, IterBasedTrainLoop):
        return
    by_epoch = [
        f'{path}.by_epoch'
        for path, _, built in _schedules(cfg, dry)
        if built.by_epoch and not getattr(built, 'need_val_args', False)
    ]
    if any(isinstance(h, CheckpointHook) and h.by_epoch for h in dry.hooks):
        by_epoch.append('default_hooks.checkpoint.by_epoch')
    for path in by_epoch:
        yield (
            f'`{path}` is True, but the training counts iterations, so it '
            'would not act before the end; set it to False, and give its '
            'lengths in iterations'
        )
