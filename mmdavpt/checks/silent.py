"""Find mistakes in a config that no library reports."""

import inspect
import os.path as osp
import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

from mmengine.config import Config
from mmengine.optim import LinearLR, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, DefaultScope
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.models import ClsHead
from mmpretrain.models import CrossEntropyLoss as ClsCrossEntropyLoss
from mmseg.models import BaseSegmentor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from mmdavpt.engine.class_counts import heads_of
from mmdavpt.errors import did_you_mean, first_few

from .build import BATCHES, DryRunner, schedules_of
from .introspection import (
    BUILDER_KEYS,
    argument_names,
    find_types,
    ignores_unknown_arguments,
    keys_read,
    stores_unknown_arguments,
    walk,
)

#: Parameter groups have these besides the arguments of an optimizer.
GROUP_KEYS = {'params', 'lr_mult', 'decay_mult', 'initial_lr'}
#: Names that options of the backbone add, which shipped schedules mention.
OPTIONAL_NAMES = {'prompts', 'bias_delta', 'gate_logits'}


def find_errors(cfg: Config, dry: DryRunner, training: bool) -> Iterator[str]:
    """Yield a sentence for each silent mistake.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
        training (bool): Whether the run trains, and does not test.
    """
    yield from unread_names(cfg, dry)
    yield from ignored_arguments(cfg)
    yield from repeated_default_hooks(cfg, dry)
    yield from hidden_normalization(cfg)
    yield from text_as_classes(cfg)
    yield from single_outputs(dry.model)
    yield from learnt_padding(dry.model)
    if not training:
        yield from incomplete_evaluation('test', dry._test_loop.dataloader)
        return
    yield from empty_training(dry)
    yield from endless_epochs(dry)
    yield from unread_group_options(dry)
    yield from unit_mismatches(cfg, dry)
    if dry._val_loop is not None:
        yield from incomplete_evaluation('val', dry._val_loop.dataloader)


def find_warnings(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield a sentence for what is probably a mistake of a training.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
    """
    yield from unmatched_patterns(cfg, dry)
    yield from long_warm_ups(cfg, dry)
    yield from unshuffled_training(dry)


def unread_names(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield names in plain dicts that the code that gets them never reads."""
    wrapper = cfg.get('optim_wrapper') or {}
    places = [
        ('env_cfg', cfg.get('env_cfg'), [Runner]),
        ('auto_scale_lr', cfg.get('auto_scale_lr'), [Runner]),
        (
            'optim_wrapper.paramwise_cfg',
            wrapper.get('paramwise_cfg'),
            _constructor(cfg, wrapper),
        ),
    ]
    if isinstance(dry.model, BaseSegmentor):
        kinds = [*{type(module) for module in dry.model.modules()}]
        readers = [*kinds, 'mmdavpt.models']
        places += [
            (f'model.{name}', cfg.model.get(name), readers)
            for name in ('train_cfg', 'test_cfg')
        ]
    for path, node in walk(cfg.model, 'model'):
        if isinstance(node.get('arch'), dict):
            kinds = find_types(node.get('type'), cfg.get('default_scope'))
            places.append((f'{path}.arch', node['arch'], kinds))
    for path, node, readers in places:
        name = path.rpartition('.')[2]
        read = keys_read(readers, name)
        if name == 'arch':
            read |= keys_read(readers, 'arch_settings')
        for key in [*node] if isinstance(node, dict) and read else ():
            if key not in read | BUILDER_KEYS:
                yield (
                    f'nothing reads `{path}.{key}`' + did_you_mean(key, read)
                )


def _constructor(cfg: Config, wrapper: dict) -> list[type]:
    kind = wrapper.get('constructor', 'DefaultOptimWrapperConstructor')
    if isinstance(kind, str):
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            kind = OPTIM_WRAPPER_CONSTRUCTORS.get(kind)
    return [kind] if isinstance(kind, type) else []


def ignored_arguments(cfg: Config) -> Iterator[str]:
    """Yield arguments that a constructor takes as ``**kwargs`` and drops."""
    scope = cfg.get('default_scope') or 'mmengine'
    for path, node in walk(cfg._cfg_dict):
        kinds = find_types(node['type'], scope) if 'type' in node else []
        for kind in kinds[:1] if len(kinds) == 1 else ():
            names = argument_names(kind)
            unknown = {str(key) for key in node} - names - BUILDER_KEYS
            unknown -= {'priority'} if 'hooks' in path else set()
            if unknown and ignores_unknown_arguments(kind):
                key = min(unknown)
            elif unknown and stores_unknown_arguments(kind):
                key = next(
                    (k for k in unknown if _is_misspelt(k, names)), None
                )
            else:
                key = None
            if key is not None:
                yield (
                    f'{getattr(kind, "__name__", kind)} ignores '
                    f'`{path}.{key}`' + did_you_mean(key, names)
                )


def _is_misspelt(name: str, names: set[str]) -> bool:
    return bool(get_close_matches(name, names, n=1, cutoff=0.85))


def repeated_default_hooks(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield default hooks under a name that replaces none of them."""
    kinds = [type(hook) for hook in dry.default_hooks]
    names = re.findall(
        r'^ +(\w+)=dict\(type=',
        inspect.getsource(Runner.register_default_hooks),
        re.M,
    )
    for name, node in (cfg.get('default_hooks') or {}).items():
        if name in names or not isinstance(node, dict):
            continue
        for kind in find_types(node['type'], cfg.get('default_scope')):
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


def incomplete_evaluation(split: str, loader: Any) -> Iterator[str]:
    """Yield a loader that does not give every image exactly once."""
    batches = list(islice(iter(loader.batch_sampler), 4 * BATCHES))
    indices = sorted(int(index) for batch in batches for index in batch)
    if indices == list(range(len(loader.dataset))):
        return
    path = f'{split}_dataloader'
    if len(indices) > len(loader.dataset):
        yield (
            f'`{path}.sampler` never ends or repeats images; use '
            "dict(type='DefaultSampler', shuffle=False)"
        )
    else:
        yield (
            f'`{path}` leaves images out of the scores; set '
            f'{path}.drop_last=False and use a sampler that gives all of them'
        )


def empty_training(dry: DryRunner) -> Iterator[str]:
    """Yield that a training has no step."""
    for key in ('max_epochs', 'max_iters'):
        value = getattr(dry._train_loop, f'_{key}', 1)
        if value < 1:
            yield f'`train_cfg.{key}` is {value}, so nothing is trained'


def endless_epochs(dry: DryRunner) -> Iterator[str]:
    """Yield a sampler without an end where the training counts epochs."""
    loop = dry._train_loop
    if isinstance(loop, IterBasedTrainLoop):
        return
    batches = islice(iter(loop.dataloader.batch_sampler), 4 * BATCHES)
    if sum(1 for _ in batches) == 4 * BATCHES:
        yield (
            '`train_dataloader.sampler` never ends, but the training counts '
            "epochs; use dict(type='DefaultSampler', shuffle=True), or "
            'train_cfg=dict(by_epoch=False, max_iters=N)'
        )


def unread_group_options(dry: DryRunner) -> Iterator[str]:
    """Yield options of ``custom_keys`` that torch's optimizers never read."""
    optimizer = getattr(dry.optim_wrapper, 'optimizer', None)
    if not type(optimizer).__module__.startswith('torch.'):
        return
    known = {*optimizer.defaults, *GROUP_KEYS}
    unknown = {key for group in optimizer.param_groups for key in group}
    for key in sorted(unknown - known):
        yield (
            f'{type(optimizer).__name__} does not read {key!r} in '
            '`optim_wrapper.paramwise_cfg.custom_keys`'
            + did_you_mean(key, known)
        )


def unmatched_patterns(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield patterns of ``custom_keys`` that are in no trained name."""
    paramwise = cfg.optim_wrapper.get('paramwise_cfg') or {}
    if not isinstance(dry.optim_wrapper, OptimWrapper):
        return
    names = [
        name
        for name, parameter in dry.model.named_parameters()
        if parameter.requires_grad
    ]
    patterns = set(paramwise.get('custom_keys') or ()) - OPTIONAL_NAMES
    unused = sorted(p for p in patterns if not any(p in n for n in names))
    if unused:
        yield (
            '`optim_wrapper.paramwise_cfg.custom_keys` has patterns that are '
            f'in no name of a trained parameter: {first_few(unused)}'
        )


def _built_schedules(
    cfg: Config, dry: DryRunner
) -> list[tuple[str, dict, Any]]:
    built = dry.param_schedulers
    nodes = schedules_of(cfg) if isinstance(built, list) else []
    return [
        (path, node, schedule)
        for (path, node), schedule in zip(nodes, built or (), strict=False)
    ]


def long_warm_ups(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield warm-ups that do not end before the training does."""
    for path, node, built in _built_schedules(cfg, dry):
        total = dry.length_for(node)
        end = node.get('end', total)
        if (
            total is not None
            and isinstance(built, LinearLR)
            and built.start_factor < 1 == built.end_factor
            and end >= total
        ):
            yield (
                f'`{path}` ({node["type"]}) warms up until {end}, but the '
                f'training ends at {total}; a shorter one is --cfg-options '
                f'{path}.end={max(1, total // 10)}'
            )


def unit_mismatches(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield what counts epochs in a training that counts iterations."""
    if not isinstance(dry._train_loop, IterBasedTrainLoop):
        return
    for path, _, built in _built_schedules(cfg, dry):
        if built.by_epoch and not getattr(built, 'need_val_args', False):
            yield (
                f'`{path}.by_epoch` is True, but the training counts '
                'iterations, so the schedule never acts; set it to False, and '
                '`begin` and `end` to iterations'
            )
    for hook in dry.default_hooks:
        if getattr(hook, 'by_epoch', False) and hasattr(hook, 'save_best'):
            yield (
                '`default_hooks.checkpoint.by_epoch` is True, but the '
                'training counts iterations and would save nothing before its '
                'end; set it to False, and `interval` to iterations'
            )


def unshuffled_training(dry: DryRunner) -> Iterator[str]:
    """Yield a training that sees its images in the order of the dataset."""
    loader = dry._train_loop.dataloader
    first = list(islice(iter(loader.batch_sampler), BATCHES // 2))
    order = [int(index) for batch in first for index in batch]
    if order == list(range(len(order))):
        yield (
            '`train_dataloader.sampler` does not shuffle; set '
            'train_dataloader.sampler.shuffle=True'
        )
