"""Whether a model's parameters can be given to an optimizer in groups."""

import inspect
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS
from torch import nn

from mmdavpt.errors import UsageError
from mmdavpt.models.added import ADDED

from .build_check import building, scope_of
from .config_keys import accepted_arguments
from .known_keys import DEFAULT_CONSTRUCTOR, PLAIN_CONSTRUCTORS
from .type_places import resolve_type
from .value_kinds import short

#: What the host's constructor reads for the parameters of a pattern.
MULTIPLIERS = {'lr_mult', 'decay_mult'}
#: What options of the backbone add; schedules name it for those who set them.
OPTIONAL = {*ADDED}


def check_groups(cfg: dict, model: nn.Module) -> list[str]:
    """Raise if a model's parameters cannot be given to the optimizer.

    Own constructors may need more than a model without values; only those of
    the host's kind are tried.

    Args:
        cfg (dict): The merged config, with plain values.
        model (nn.Module): What it describes, on the meta device.

    Returns:
        List[str]: What a run can begin in spite of: patterns of
        ``custom_keys`` that are of no parameter.

    Raises:
        UsageError: If so.
    """
    given = cfg['optim_wrapper']
    kinds = resolve_type(
        given.get('constructor', DEFAULT_CONSTRUCTOR),
        cfg.get('default_scope', 'mmengine'),
        OPTIM_WRAPPER_CONSTRUCTORS,
    )
    host = DefaultOptimWrapperConstructor
    if 'optimizer' not in given or not all(
        inspect.isclass(kind) and issubclass(kind, host) for kind in kinds
    ):
        return []
    for sentence in _option_defects(cfg):
        raise UsageError(f'the config cannot be run: {sentence}')
    groups = {
        key: given[key]
        for key in ('constructor', 'paramwise_cfg', 'optimizer')
        if key in given
    }
    with scope_of(cfg), building('optim_wrapper'), _silence():
        build_optim_wrapper(model, groups)
    return _unmatched(cfg, model)


def _custom_keys(cfg: dict) -> dict:
    """Return patterns and their options, if the host's constructor reads."""
    given = cfg['optim_wrapper']
    name = str(given.get('constructor', DEFAULT_CONSTRUCTOR))
    if name.rpartition('.')[2] not in PLAIN_CONSTRUCTORS:
        return {}
    found = (given.get('paramwise_cfg') or {}).get('custom_keys')
    return found if isinstance(found, dict) else {}


def _option_defects(cfg: dict) -> Iterator[str]:
    """Yield which options of patterns no optimizer of torch reads."""
    kinds = resolve_type(
        cfg['optim_wrapper']['optimizer'].get('type', ''),
        cfg.get('default_scope', 'mmengine'),
        OPTIMIZERS,
    )
    for name, options in _custom_keys(cfg).items():
        path = f'optim_wrapper.paramwise_cfg.custom_keys.{name}'
        if not isinstance(options, dict):
            yield f'`{path}` should be a dict, but is {short(options)}'
        elif all(kind.__module__.startswith('torch.') for kind in kinds):
            taken = MULTIPLIERS.union(*map(accepted_arguments, kinds))
            for key in options.keys() - taken:
                yield f'`{path}` has no key `{key}`; it takes ' + ', '.join(
                    f'`{one}`' for one in sorted(taken - {'params'})
                )


def _unmatched(cfg: dict, model: nn.Module) -> list[str]:
    """Return sentences on patterns that are of no trained parameter."""
    names = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    return [
        f'`optim_wrapper.paramwise_cfg.custom_keys` has {pattern!r}, which is '
        'in the name of no trained parameter, and changes nothing'
        for pattern in sorted(_custom_keys(cfg).keys() - OPTIONAL)
        if not any(str(pattern) in name for name in names)
    ]


@contextmanager
def _silence() -> Iterator[None]:
    """Leave what the run itself will log, and some hosts print, to the run."""
    logger = MMLogger.get_current_instance()
    before, logger.disabled = logger.disabled, True
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled = before
