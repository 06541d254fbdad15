"""Where a resumed run goes on otherwise than its config says."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.optim import _ParamScheduler

from .config_keys import accepted_arguments
from .value_kinds import short

#: Arguments of schedules that say where one is, and not what it does.
PROGRESS = {'last_step', 'optimizer', 'verbose'}

#: The most differences that are named.
MOST = 4


def schedule_note(
    built: Sequence[_ParamScheduler]
    | Mapping[str, Sequence[_ParamScheduler]]
    | None,
    stored: Sequence[dict] | Mapping[str, Sequence[dict]] | None,
) -> str | None:
    """Say what a checkpoint stored of schedules that the config has changed.

    mmengine restores whole schedules, their ends and rates too: a config
    that trains longer does not make a schedule longer.

    Args:
        built (Sequence[_ParamScheduler] | Mapping): The schedules of the
            config, as the runner built them; by names for several
            optimizers.
        stored (Sequence[dict] | Mapping): Their states in the checkpoint.

    Returns:
        str | None: One sentence; None if nothing differs, or nothing was
        stored.
    """
    if not built or not stored:
        return None
    differences = []
    pairs = [('param_scheduler', built, stored)]
    if isinstance(built, Mapping) and isinstance(stored, Mapping):
        pairs = [
            (f'param_scheduler.{name}', built[name], stored[name])
            for name in built
            if name in stored
        ]
    for path, schedules, states in pairs:
        if len(schedules) != len(states):
            differences.append(
                f'{len(states)} schedules (the config has {len(schedules)} '
                f'in `{path}`)'
            )
        for i, (schedule, state) in enumerate(
            zip(schedules, states, strict=False)
        ):
            differences += _differences(f'{path}.{i}', schedule, state)
    if not differences:
        return None
    more = len(differences) - MOST
    return (
        'the run goes on with the schedule that the checkpoint stored, which '
        f'is not that of the config: {", ".join(differences[:MOST])}'
        + (f', and {more} more' if more > 0 else '')
        + '; to train by the config, start from the checkpoint by '
        '`load_from`, without --resume'
    )


def _differences(
    path: str, schedule: _ParamScheduler, state: dict
) -> list[str]:
    """Return what a state will change in a schedule, in words."""
    named = accepted_arguments(type(schedule)) or set()
    found = []
    for key, value in vars(schedule).items():
        if key in (named - PROGRESS) | {'base_values'} and (
            key in state and state[key] != value
        ):
            given = _first_difference(state[key], value)
            name = schedule.param_name if key == 'base_values' else key
            found.append(
                f'`{path}` ({type(schedule).__name__}) has '
                f'{name}={short(given[0])} (the config has '
                f'{short(given[1])})'
            )
    return found


def _first_difference(stored: Any, own: Any) -> tuple[Any, Any]:
    """Return the values to show, of lists the first that differ."""
    if isinstance(stored, list) and isinstance(own, list):
        for one, other in zip(stored, own, strict=False):
            if one != other:
                return one, other
    return stored, own
