"""Compare a checkpoint with the model and the config that load it."""

import inspect
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import Runner
from torch import nn

from mmdavpt.checkpoints.fit import GUIDANCE, check_fit
from mmdavpt.errors import UsageError, first_few
from mmdavpt.unwrap import unwrap

from ..class_counts import label_defect, metainfo_of


class CheckpointFitHook(Hook):
    """Refuse a checkpoint whose weights are not exactly those of the model.

    mmengine loads what fits and only warns about the rest, so that a
    checkpoint of another config gives the scores of random weights.

    Args:
        training (bool): Whether the run is a training, not a test.
        allowed (str | Sequence[str]): Patterns of names, such as
            ``'head.*'``, that may be missing, unexpected or of another shape,
            in the checkpoint that a training starts from (``load_from``
            without ``resume``) or a test loads. Defaults to ().
    """

    # After hooks that complete a checkpoint.
    priority = 'LOWEST'

    def __init__(
        self, training: bool, allowed: str | Sequence[str] = ()
    ) -> None:
        self.training = training
        allowed = [allowed] if isinstance(allowed, str) else allowed
        self.allowed = (GUIDANCE, *allowed)

    def before_train(self, runner: Runner) -> None:
        """Check that a resumed optimizer has all its options.

        Raises:
            UsageError: If the checkpoint is of another kind of optimizer.
        """
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        missing = {
            option
            for group in getattr(optimizer, 'param_groups', ())
            for option in optimizer.defaults.keys() - group.keys()
        }
        if missing:
            raise UsageError(
                f'{runner._load_from} is of a training with another optimizer '
                f'than {type(optimizer).__name__}: its state has no '
                f'{", ".join(sorted(missing))}; keep the optimizer, or start '
                'from the checkpoint by `load_from`, without --resume'
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names, shapes and classes before the weights are loaded.

        A resumed run warns about schedules that it does not take from its
        config.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): Content of the file. Weights of another
                shape are taken out of it where that is allowed.

        Raises:
            UsageError: If something does not fit, or if a resumed run or a
                test has other classes than the checkpoint.
        """
        source = runner._load_from or 'the checkpoint'
        resumed = self.training and runner._resume
        if resumed and 'optimizer' not in checkpoint:
            raise UsageError(
                f'{source} has no optimizer state, so it is not resumable; '
                "resume from a checkpoint without 'best' in its name, or "
                'start from it by `load_from`'
            )
        if resumed:
            schedules = checkpoint.get('param_schedulers')
            notes = [
                schedule_note(runner.param_schedulers, schedules),
                optimizer_note(runner.optim_wrapper, checkpoint['optimizer']),
            ]
            for note in filter(None, notes):
                runner.logger.warning(note)
        state = checkpoint.get('state_dict', checkpoint)
        allowed = () if resumed else self.allowed
        check_fit(model_of(runner.model), state, source, allowed)
        split = 'train' if self.training else 'test'
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        defect = label_defect(
            meta,
            metainfo_of(getattr(runner, f'{split}_dataloader').dataset),
            'training of the checkpoint',
            'training set' if self.training else 'test set',
        )
        if defect and self.training and not resumed:
            runner.logger.warning(f'{source}: {defect}')
        elif defect:
            raise UsageError(defect)


def schedule_note(
    built: Sequence[_ParamScheduler] | None, stored: Sequence[dict] | None
) -> str | None:
    """Return how the schedules of a resumed run differ from its config.

    mmengine restores schedules with their ends and rates, so training longer
    does not extend a schedule.

    Args:
        built (Sequence[_ParamScheduler], optional): The schedules of the
            config. Those of several optimizers are not compared.
        stored (Sequence[dict], optional): Their states in the checkpoint.

    Returns:
        str | None: One sentence; None if nothing differs, or nothing was
        stored.
    """
    if not isinstance(built, list) or not built or not stored:
        return None
    different = []
    if len(built) != len(stored):
        different.append(f'{len(stored)} schedules instead of {len(built)}')
    for i, (schedule, state) in enumerate(zip(built, stored, strict=False)):
        for key in _fixed(schedule):
            value = getattr(schedule, key, None)
            if state.get(key, value) != value:
                different.append(
                    f'param_scheduler.{i}.{key}={str(state[key])[:60]} '
                    f'instead of {str(value)[:60]}'
                )
    return _difference('schedule', different)


def optimizer_note(built: OptimWrapper, stored: dict) -> str | None:
    """Return how the optimizer of a resumed run differs from its config.

    Args:
        built (OptimWrapper): The optimizer of the config. Several optimizers
            are not compared.
        stored (dict): Its state in the checkpoint.

    Returns:
        str | None: One sentence; None if no option differs.
    """
    groups = stored.get('param_groups', [])
    if not isinstance(built, OptimWrapper) or not groups:
        return None
    different = set()
    for old, new in zip(groups, built.param_groups, strict=False):
        for key in old.keys() & new.keys() - {'params'}:
            # Schedules change some options, and keep their first values.
            scheduled = key.startswith('initial_') or f'initial_{key}' in old
            if not scheduled and old[key] != new[key]:
                different.add(f'{key}={old[key]} instead of {new[key]}')
    return _difference('optimizer', sorted(different))


def _difference(part: str, different: list[str]) -> str | None:
    if not different:
        return None
    return (
        f'the run resumes with the {part} of the checkpoint, which differs '
        f'from the config: {first_few(different, 4)}; to train by the '
        'config, start from the checkpoint by `load_from`, without --resume'
    )


def _fixed(schedule: _ParamScheduler) -> list[str]:
    """Return the attributes that do not depend on a schedule's progress."""
    arguments = {
        name
        for cls in type(schedule).__mro__[:-1]
        if '__init__' in vars(cls)
        for name in inspect.signature(cls).parameters
    }
    return sorted((arguments | {'base_values'}) - {'last_step', 'optimizer'})


def model_of(model: nn.Module) -> nn.Module:
    """Return the model inside distributed and test-time wrappers."""
    model = unwrap(model)
    return model_of(model.module) if isinstance(model, BaseTTAModel) else model
