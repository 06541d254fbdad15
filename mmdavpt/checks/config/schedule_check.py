"""Whether schedules fit the length of a training, and raise its rate."""

import inspect
from collections.abc import Iterator
from itertools import islice
from numbers import Real

import torch
from mmengine.optim import LinearLR
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.registry import PARAM_SCHEDULERS

from mmdavpt.errors import UsageError

from .build_check import scope_of
from .loop_check import schedules_of, trains_by_epoch
from .optimizer_check import built_schedule
from .type_places import resolve_type

#: Iterations of an epoch, where their number is not known before the data.
EPOCH_LENGTH = 10

#: The most iterations that are gone through.
MOST_STEPS = 20_000

#: The part of the configured rate that a run is expected to reach.
REACHED = 0.1

#: The training from which on a tenth of it is enough for a warm-up.
SHORTEST = 10


def check_schedule(cfg: dict) -> None:
    """Raise a sentence if a schedule begins after the training has ended.

    Args:
        cfg (dict): The merged config, with plain values.

    Raises:
        UsageError: If so, with options that fit the schedules.
    """
    for path, schedule in schedules_of(cfg):
        unit, total = _length(cfg, schedule)
        if total is not None and schedule.get('begin', 0) >= total:
            raise UsageError(
                f'{path} ({schedule.get("type")}) begins after '
                f'{schedule["begin"]} {unit}, but the training ends after '
                f'{total}; train longer, or {_advice(cfg, path, total)}'
            )


def schedule_notes(cfg: dict) -> list[str]:
    """Return why a training's learning rate may stay too small.

    Args:
        cfg (dict): The merged config, with plain values and schedules that
            can be built.

    Returns:
        List[str]: Sentences, of which there are mostly none.
    """
    notes = []
    for path, schedule in schedules_of(cfg):
        unit, total = _length(cfg, schedule)
        if total is not None and _warms_up(cfg, schedule):
            end = schedule.get('end', total)
            if schedule.get('begin', 0) < total <= end:
                notes.append(
                    f'`{path}` ({schedule["type"]}) warms up for {end} '
                    f'{unit}, but the training ends after {total}; a shorter '
                    'one is --cfg-options '
                    + ' '.join(_warm_up(path, total)[1])
                )
    return notes or _small_rate(cfg)


def _small_rate(cfg: dict) -> list[str]:
    """Return a sentence if the rate stays far below what is configured."""
    rate = (cfg['optim_wrapper'].get('optimizer') or {}).get('lr')
    if not isinstance(rate, Real) or rate <= 0:
        return []
    peak, steps = 0.0, 0
    with scope_of(cfg):
        for value in islice(rates(cfg, rate), MOST_STEPS):
            peak, steps = max(peak, value), steps + 1
            if peak >= REACHED * rate:
                return []
    if steps in (0, MOST_STEPS):
        return []
    return [
        f'`param_scheduler` keeps the learning rate at {peak:.1e} or less in '
        f'the whole training, though `optim_wrapper.optimizer.lr` is '
        f'{rate:.1e}; compare `begin` and `end` of its schedules with '
        '`train_cfg`, or train at a constant rate by --cfg-options '
        'param_scheduler=None'
    ]


def rates(cfg: dict, rate: float) -> Iterator[float]:
    """Yield the learning rates of a training's iterations.

    Args:
        cfg (dict): The merged config, with plain values; an epoch is taken
            to have :data:`EPOCH_LENGTH` iterations. Schedules that look at
            scores are taken to change nothing.
        rate (float): The configured learning rate.

    Yields:
        float: The rate of an iteration; none if schedules of several
        optimizers, of other parts' make or in units that cannot be compared
        leave it open.
    """
    by_epoch = trains_by_epoch(cfg)
    unit = 'max_epochs' if by_epoch else 'max_iters'
    total = cfg['train_cfg'].get(unit)
    if by_epoch is None or total is None:
        return
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    schedules = []
    for i, (path, schedule) in enumerate(schedules_of(cfg)):
        kinds = _kinds(cfg, schedule)
        if any(getattr(kind, 'need_val_args', False) for kind in kinds):
            continue
        if (
            path not in ('param_scheduler', f'param_scheduler.{i}')
            or schedule.get('by_epoch', True) != by_epoch
            or not all(issubclass(kind, LRSchedulerMixin) for kind in kinds)
        ):
            return
        schedules.append(
            built_schedule(cfg, path, schedule, optimizer, EPOCH_LENGTH)
        )
    for step in range(1, total * (EPOCH_LENGTH if by_epoch else 1) + 1):
        yield optimizer.param_groups[0]['lr']
        optimizer.step()  # schedules expect to come after it
        for one in schedules:
            if not one.by_epoch or step % EPOCH_LENGTH == 0:
                one.step()


def _length(cfg: dict, schedule: dict) -> tuple[str, int | None]:
    """Return what a schedule counts, and how many a training has of it."""
    unit = 'epochs' if schedule.get('by_epoch', True) else 'iters'
    return unit, (cfg.get('train_cfg') or {}).get(f'max_{unit}')


def _kinds(cfg: dict, schedule: dict) -> list[type]:
    found = resolve_type(
        schedule.get('type', ''),
        cfg.get('default_scope', 'mmengine'),
        PARAM_SCHEDULERS,
    )
    return [kind for kind in found if inspect.isclass(kind)]


def _warms_up(cfg: dict, schedule: dict) -> bool:
    """Return whether a schedule leads a rate up to what is configured."""
    kinds = _kinds(cfg, schedule)
    return (
        bool(kinds)
        and all(issubclass(kind, LinearLR) for kind in kinds)
        and schedule.get('start_factor', 1 / 3) < 1
        and schedule.get('end_factor', 1) == 1
    )


def _advice(cfg: dict, path: str, total: int) -> str:
    """Return how to fit schedules to a training that one begins after."""
    parent = path.rpartition('.')[0]
    several = [
        pair
        for pair in schedules_of(cfg)
        if pair[0].rpartition('.')[0] == parent
    ]
    first, warm_up = several[0]
    main = several[-1][1]
    if len(several) == 1:
        begin, options = 0, []
    elif (
        len(several) == 2
        and path != first
        and warm_up.get('begin', 0) == 0
        and warm_up.get('by_epoch', True) == main.get('by_epoch', True)
        and _warms_up(cfg, warm_up)
    ):
        begin, options = _warm_up(first, total)
    else:
        return (
            'set `begin` and `end` of all schedules to fit, or train at a '
            'constant rate by --cfg-options param_scheduler=None'
        )
    options = [*options, f'{path}.begin={begin}']
    if 'T_max' in main:
        options.append(f'{path}.T_max={total - begin}')
    if 'end' in main:
        options.append(f'{path}.end={total}')
    return 'fit the schedules by --cfg-options ' + ' '.join(options)


def _warm_up(path: str, total: int) -> tuple[int, list[str]]:
    """Return the length of a warm-up in a training, and its options.

    It takes two steps to reach the configured rate, and an epoch may be one:
    a training that is too short for that goes without.
    """
    if total < SHORTEST:
        return 0, [f'{path}.start_factor=1.0', f'{path}.end=1']
    length = max(2, total // 10)
    return length, [f'{path}.end={length}']
