"""Optimizers and schedules, built and used for one number."""

import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmengine.optim import (
    AmpOptimWrapper,
    DefaultOptimWrapperConstructor,
    OptimWrapper,
    _ParamScheduler,
)
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
)

from mmdavpt.errors import UsageError

from .build_check import build_part, building, scope_of
from .config_keys import accepted_arguments
from .known_keys import DEFAULT_CONSTRUCTOR
from .loop_check import schedules_of, trains_by_epoch
from .optimizer_numbers import number_defects
from .type_places import resolve_type
from .value_kinds import kind_defects, short

#: What a constructor takes out before the wrapper is made.
NOT_THE_WRAPPERS = ('constructor', 'paramwise_cfg', 'optimizer')


def check_optimizer(cfg: dict) -> None:
    """Raise if an optimizer or a schedule cannot be built, or not used.

    They are built for one number, and not for the model, and take two steps.

    Args:
        cfg (dict): The merged config, with plain values.

    Raises:
        UsageError: If so.
    """
    for sentence in wrapper_defects(cfg):
        raise UsageError(f'the config cannot be run: {sentence}')
    with scope_of(cfg):
        optimizer = None
        for path, wrapper in wrappers_of(cfg):
            optimizer = _built(cfg, path, wrapper)
        if optimizer is None:
            return  # its constructor makes them, or says what is missing
        for path, schedule in schedules_of(cfg):
            built_schedule(cfg, path, schedule, optimizer)


def wrappers_of(cfg: dict) -> list[tuple[str, dict]]:
    """Return the configs of optimizers with what wraps them, by their paths.

    Args:
        cfg (dict): The config.
    """
    given = cfg['optim_wrapper']
    if 'optimizer' in given:
        return [('optim_wrapper', given)]
    return [
        (f'optim_wrapper.{name}', part)
        for name, part in given.items()
        if isinstance(part, dict) and isinstance(part.get('optimizer'), dict)
    ]


def wrapper_defects(cfg: dict) -> Iterator[str]:
    """Yield what cannot be of optimizers, one sentence each.

    Args:
        cfg (dict): The merged config, with plain values.
    """
    scope = cfg.get('default_scope', 'mmengine')
    schedules = cfg.get('param_scheduler')
    if (
        isinstance(schedules, dict)
        and 'type' not in schedules
        and _makes_one(cfg['optim_wrapper'], scope)
    ):
        yield (
            '`param_scheduler` has schedules by the names of optimizers, '
            f'{_listed(schedules)}, but `optim_wrapper` has one optimizer; '
            'give its schedules as a list'
        )
    for path, wrapper in wrappers_of(cfg):
        own = wrapper['optimizer']
        kinds = resolve_type(own.get('type', ''), scope, OPTIMIZERS)
        yield from number_defects(f'{path}.optimizer', own, kinds)
        for kind in resolve_type(
            wrapper.get('type', 'OptimWrapper'), scope, OPTIM_WRAPPERS
        ):
            if inspect.isclass(kind) and issubclass(kind, AmpOptimWrapper):
                yield from _mixed_precision(path, wrapper)


def _listed(names: Sequence[Any]) -> str:
    return ', '.join(map(repr, names)) or 'of which there are none'


def _makes_one(wrapper: dict, scope: str) -> bool:
    """Return whether a constructor makes one optimizer, as the host's does."""
    if 'optimizer' not in wrapper:
        return False
    called = DefaultOptimWrapperConstructor.__call__
    return any(
        inspect.isclass(kind) and kind.__call__ is called
        for kind in resolve_type(
            wrapper.get('constructor', DEFAULT_CONSTRUCTOR),
            scope,
            OPTIM_WRAPPER_CONSTRUCTORS,
        )
    )


def _mixed_precision(path: str, wrapper: dict) -> Iterator[str]:
    """Yield what mmengine's wrapper of mixed precision does not take.

    It cannot be built without a GPU, so that nothing else would say it
    before the run is where it is to train.
    """
    scale = wrapper.get('loss_scale', 'dynamic')
    if isinstance(scale, dict):
        scaler = torch.amp.GradScaler
        taken = accepted_arguments(scaler) or set()
        for key in set(scale) - taken:
            yield (
                f'`{path}.loss_scale` has no key `{key}`; it takes '
                + ', '.join(f'`{name}`' for name in sorted(taken))
            )
        yield from kind_defects(f'{path}.loss_scale', scale, scaler)
    elif scale != 'dynamic' and not isinstance(scale, float):
        yield (
            f"`{path}.loss_scale` should be 'dynamic', a number with a point, "
            f'such as 512.0, or a dict, but is {short(scale)}'
        )
    kind = wrapper.get('dtype')
    if not (
        kind is None
        or isinstance(kind, torch.dtype)
        or kind in AmpOptimWrapper.valid_dtypes
    ):
        yield (
            f'`{path}.dtype` should be out of '
            f'{", ".join(AmpOptimWrapper.valid_dtypes)}, but is {short(kind)}'
        )


def _built(cfg: dict, path: str, wrapper: dict) -> Any:
    """Return an optimizer for one number, in its wrapper if it may be."""
    number = torch.zeros(1, requires_grad=True)
    optimizer = build_part(
        OPTIMIZERS,
        f'{path}.optimizer',
        dict(wrapper['optimizer'], params=[number]),
    )
    if wrapper.get('type', 'OptimWrapper') != 'OptimWrapper':
        return optimizer
    own = {k: v for k, v in wrapper.items() if k not in NOT_THE_WRAPPERS}
    own.setdefault('type', 'OptimWrapper')
    with building(path):
        # Copied without the optimizer, which is to keep its number.
        wrapped = OPTIM_WRAPPERS.build(
            dict(copy.deepcopy(own), optimizer=optimizer)
        )
    if type(optimizer).__module__.startswith('torch.optim'):
        with building(path, 'used'):
            _step(wrapped)
    return wrapped


def _step(wrapper: OptimWrapper) -> None:
    """Take two steps, and leave nothing in the log of the process.

    The first makes what the second reads, such as the momentum.
    """
    wrapper.message_hub = MessageHub('check')
    (group,) = wrapper.optimizer.param_groups
    if group.get('capturable'):  # for numbers on a GPU
        return
    for _ in range(2):
        for number in group['params']:
            number.grad = torch.ones_like(number)
        wrapper.step()


def built_schedule(
    cfg: dict,
    path: str,
    schedule: dict,
    optimizer: OptimWrapper | torch.optim.Optimizer,
    epoch_length: int | None = None,
) -> _ParamScheduler:
    """Return a schedule, as a run builds it.

    Args:
        cfg (dict): The merged config, with plain values.
        path (str): Path of the schedule in the config.
        schedule (dict): Its config.
        optimizer (OptimWrapper | Optimizer): What it is for.
        epoch_length (int, optional): Iterations of an epoch, for schedules
            that are converted to iterations. Defaults to None: they are left
            in epochs.

    Raises:
        UsageError: If it cannot be built.
    """
    arguments = dict(copy.deepcopy(schedule), optimizer=optimizer)
    if epoch_length is None:
        arguments.pop('convert_to_iter_based', None)
    elif arguments.get('convert_to_iter_based'):
        arguments['epoch_length'] = epoch_length
    total = cfg['train_cfg'].get(
        'max_epochs' if trains_by_epoch(cfg) else 'max_iters'
    )
    if total is not None and schedule.get('by_epoch', True) == (
        trains_by_epoch(cfg)
    ):
        arguments.setdefault('end', total)
    with building(path):
        return PARAM_SCHEDULERS.build(arguments)
