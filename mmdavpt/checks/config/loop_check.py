"""Whether loops, loaders and what counts with them go together."""

import inspect
from collections.abc import Iterator, Sequence

from mmengine.registry import LOOPS

from mmdavpt.errors import UsageError

from .config_keys import accepted_arguments, default_type
from .environment_check import environment_defects
from .loader_check import ENDLESS, kind_name, loader_defects, worker_defects
from .type_places import resolve_type

#: What a loop needs besides its own config.
PARTS = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}


def check_loops(cfg: dict, training: bool) -> None:
    """Raise if a run's loops cannot work as they are combined.

    Args:
        cfg (dict): The merged config, with plain values.
        training (bool): Whether it is to train, and not to test.

    Raises:
        UsageError: If so.
    """
    for sentence in loop_defects(cfg, training):
        raise UsageError(f'the config cannot be run: {sentence}')


def loop_defects(cfg: dict, training: bool) -> Iterator[str]:
    """Yield what :func:`check_loops` refuses, one sentence each.

    Args:
        cfg (dict): The merged config, with plain values.
        training (bool): Whether it is to train, and not to test.
    """
    if not cfg.get('model'):
        yield 'it has no `model`'
    yield from _parts(cfg, 'train' if training else 'test')
    yield from environment_defects(cfg)
    loaders = {
        path: cfg[path]
        for path in (f'{split}_dataloader' for split in PARTS)
        if cfg.get(path) is not None
    }
    for path, loader in loaders.items():
        yield from loader_defects(path, loader)
    yield from worker_defects(loaders)
    for split in PARTS:
        loop = cfg.get(f'{split}_cfg')
        if isinstance(loop, dict) and {'type', 'by_epoch'} <= set(loop):
            yield (
                f'`{split}_cfg` has both `type` and `by_epoch`, which say '
                'the same; leave one out'
            )
        elif isinstance(loop, dict) and 'type' in loop:
            yield from _loop_arguments(cfg, split, loop)
    if not training or cfg.get('train_cfg') is None:
        return
    yield from _length(cfg['train_cfg'])
    wrapper = cfg.get('optim_wrapper') or {}
    if 'constructor' not in wrapper and not any(
        isinstance(value, dict) for value in wrapper.values()
    ):
        yield '`optim_wrapper` should have an `optimizer`'
    yield from _units(cfg)
    yield from _mapping(cfg)


def _loop_arguments(cfg: dict, split: str, loop: dict) -> Iterator[str]:
    """Yield where a loop is not one of its split, or lacks an argument."""
    given = {'runner', 'dataloader'}
    if split != 'train':
        given.add('evaluator')
    for kind in resolve_type(loop['type'], cfg.get('default_scope'), LOOPS):
        needed = {
            name
            for name, parameter in inspect.signature(kind).parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        }
        taken = accepted_arguments(kind)
        if taken is not None and given - taken:
            yield (
                f'`{split}_cfg.type` is {kind_name(loop)}, which takes no '
                f'{", ".join(given - taken)}, and is no loop for a {split} '
                'dataloader'
            )
        elif needed - given - set(loop):
            missing = sorted(needed - given - set(loop))
            yield (
                f'`{split}_cfg` with the type {kind_name(loop)} should have '
                f'{_listed(missing)}'
            )


def _length(loop: dict) -> Iterator[str]:
    """Yield what is wrong with the length of a training."""
    for key in ('max_epochs', 'max_iters', 'val_interval'):
        value = loop.get(key, 1)
        if value < 1:
            yield f'`train_cfg.{key}` should be at least 1, but is {value}'
    if 'type' in loop:
        return
    by_epoch = loop.get('by_epoch', True)
    if not isinstance(by_epoch, bool):
        yield f'`train_cfg.by_epoch` should be a bool, but is {by_epoch!r}'
    elif ('max_epochs' if by_epoch else 'max_iters') not in loop:
        yield (
            f'`train_cfg` with by_epoch={by_epoch} should have '
            f'`{"max_epochs" if by_epoch else "max_iters"}`, but has '
            f'{sorted(loop)}'
        )


def _mapping(cfg: dict) -> Iterator[str]:
    """Yield that nothing would keep the mapping of a guided model."""
    model = cfg.get('model')
    if not isinstance(model, dict) or model.get('guidance') is None:
        return
    for hook in cfg.get('custom_hooks') or ():
        kinds = resolve_type(hook['type'], cfg.get('default_scope'))
        # By name, since hooks import these checks.
        parents = [b for k in kinds if inspect.isclass(k) for b in k.__mro__]
        if any(base.__name__ == 'PromptMappingHook' for base in parents):
            return
    yield (
        'nothing keeps the class-to-prompt mapping of the guided model: add '
        "dict(type='mmdavpt.PromptMappingHook') to `custom_hooks`, or set "
        'model.guidance=None for plain prompt tuning'
    )


def _parts(cfg: dict, needed: str) -> Iterator[str]:
    """Yield which of the parts that belong together are missing."""
    for split, keys in PARTS.items():
        absent = [key for key in keys if cfg.get(key) is None]
        if split == needed and absent:
            yield (
                f'a run that {"trains" if split == "train" else "tests"} '
                f'should have {_listed(keys)}, but {_listed(absent)} '
                f'{"are" if absent[1:] else "is"} missing'
            )
        elif 0 < len(absent) < len(keys):
            there = [key for key in keys if key not in absent]
            yield (
                f'{_listed(keys)} belong together, but of them only '
                f'{_listed(there)} {"are" if there[1:] else "is"} set'
            )


def _listed(keys: Sequence[str]) -> str:
    return ', '.join(f'`{key}`' for key in keys)


def trains_by_epoch(cfg: dict) -> bool | None:
    """Return whether a training counts epochs, and not iterations.

    Args:
        cfg (dict): The config.

    Returns:
        bool | None: None if its loop is another than mmengine's two.
    """
    loop = cfg['train_cfg']
    kind = kind_name(
        dict(type=loop.get('type', default_type('train_cfg', loop)))
    )
    return {'EpochBasedTrainLoop': True, 'IterBasedTrainLoop': False}.get(kind)


def _units(cfg: dict) -> Iterator[str]:
    """Yield what counts epochs in a training that counts iterations."""
    by_epoch = trains_by_epoch(cfg)
    if by_epoch is None:
        return
    loader = cfg.get('train_dataloader') or {}
    sampler = kind_name(loader.get('sampler'))
    if by_epoch:
        if sampler in ENDLESS:
            yield (
                f'`train_dataloader.sampler` is {sampler}, which never ends, '
                'but the training counts epochs; use DefaultSampler with '
                'shuffle=True, or train_cfg=dict(by_epoch=False, '
                'max_iters=N)'
            )
        return
    hooks = cfg.get('default_hooks') or {}
    checkpoint = hooks.get('checkpoint', {}) if hooks else {}
    if checkpoint is not None and checkpoint.get('by_epoch', True):
        yield (
            '`default_hooks.checkpoint.by_epoch` is True, but the training '
            'counts iterations and would save nothing before its end; set it '
            'to False, and `interval` to iterations'
        )
    logger = hooks.get('logger') or {}
    if logger.get('log_metric_by_epoch'):
        yield (
            '`default_hooks.logger.log_metric_by_epoch` is True, but the '
            'training counts iterations; set it to False'
        )
    if (cfg.get('log_processor') or {}).get('by_epoch', True):
        yield (
            '`log_processor.by_epoch` is True, but the training counts '
            'iterations; set it to False'
        )
    for path, schedule in schedules_of(cfg):
        if schedule.get('by_epoch', True) and not _acts(cfg, schedule):
            yield (
                f'`{path}.by_epoch` is True, but the training counts '
                'iterations, so the schedule would never act; set it to '
                'False, and its `begin` and `end` to iterations'
            )


def _acts(cfg: dict, schedule: dict) -> bool:
    """Return whether a schedule by epochs acts where there are none.

    One that looks at scores steps after each validation.
    """
    return bool(schedule.get('convert_to_iter_based')) or any(
        getattr(kind, 'need_val_args', False)
        for kind in resolve_type(
            schedule.get('type', ''), cfg.get('default_scope', 'mmengine')
        )
    )


def schedules_of(cfg: dict) -> list[tuple[str, dict]]:
    """Return the schedules of a config with their paths.

    Args:
        cfg (dict): The config.
    """
    given = cfg.get('param_scheduler') or []
    if not isinstance(given, dict):
        several = {'param_scheduler': given}
    elif 'type' in given:
        return [('param_scheduler', given)]
    else:  # of several optimizers, by their names
        several = {f'param_scheduler.{k}': part for k, part in given.items()}
    found = []
    for path, part in several.items():
        if isinstance(part, dict):
            found.append((path, part))
        elif isinstance(part, (list, tuple)):
            found += [(f'{path}.{i}', one) for i, one in enumerate(part)]
    return found
