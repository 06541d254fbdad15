"""The check of a whole config before any data are read."""

import os
import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine import Config

from mmdavpt.checks.preflight import check_pretrained
from mmdavpt.errors import UsageError

from .arch_check import naming_architectures
from .build_check import (
    built_model,
    check_forward,
    check_init,
    reason_of,
)
from .group_check import check_groups
from .key_check import check_keys
from .loop_check import check_loops
from .model_check import check_model, check_weights, input_channels
from .part_check import check_parts
from .preprocessor_check import check_preprocessor
from .schedule_check import check_schedule, schedule_notes


def check_config(cfg: Config | dict, training: bool) -> list[str]:
    """Raise a sentence if a config cannot be run, or not as it says.

    Keys and the kinds of their values are compared with the signatures of
    what reads them; model, optimizer, schedules and transforms are built, the
    model without memory; numbers that must agree are compared; pre-trained
    weights are read and fitted.

    Args:
        cfg (Config | dict): The merged config.
        training (bool): Whether it is to train, and not to test.

    Returns:
        List[str]: What a run can begin in spite of, to be shown.

    Raises:
        UsageError: If anything is wrong; the first thing is named.
    """
    notes: list[str] = []
    values = cfg.to_dict() if isinstance(cfg, Config) else cfg
    check_keys(values)
    with _odd_values_named():
        check_loops(values, training)
        _check_work_dir(values.get('work_dir'))
        if training:
            check_schedule(values)
        check_parts(values, training)
        if training:
            notes += schedule_notes(values)
    with naming_architectures(values):
        model = built_model(values)
    with _odd_values_named():
        if model is not None:
            check_init(model)
            check_model(values, model, training)
            check_forward(model, input_channels(values))
        if training:
            check_preprocessor(values, model)
            check_pretrained(values['model'])
            if model is not None:
                notes += check_groups(values, model)
                check_weights(values, model)
    return notes


@contextmanager
def _odd_values_named() -> Iterator[None]:
    """Say so where a value is of a kind that is not even compared.

    Most kinds are not in the hosts' signatures: a text where all that reads
    it expects a number shows when it is read first.
    """
    try:
        yield
    except (AttributeError, LookupError, RuntimeError, TypeError) as error:
        raise UsageError(
            'the config cannot be run: a value is of a kind that cannot be '
            f'there: {reason_of(error)}'
        ) from error


def _check_work_dir(path: str | None) -> None:
    """Raise if the folder of logs and checkpoints cannot be made."""
    if path is None:
        return
    place = Path(osp.expanduser(path)).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise UsageError(
            f'`work_dir` {path} cannot be made, since {place} is no folder '
            'that can be written to; choose another with --work-dir'
        )
