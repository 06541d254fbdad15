"""A checkpoint of another model is an error, and not a warning."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from mmdavpt.checkpoints.tuned import FINGERPRINT, resume_only
from mmdavpt.errors import UsageError

from .config.resumed_schedule import schedule_note

#: Prediction has no use for the state of the guidance, so that a guided
#: checkpoint may be tested unguided; and a training that is not resumed makes
#: its own.
GUIDANCE = 'guidance.*'


def misfit(
    model: nn.Module, state: Mapping[str, Tensor]
) -> tuple[list[str], list[str], list[str]]:
    """Return what a state lacks, what it has beyond a model, what misfits.

    A state without frozen weights does not lack those: the model compares
    them by their fingerprint.

    Args:
        model (nn.Module): The model, without wrapper.
        state (Mapping[str, Tensor]): Names to tensors; a leading 'module.'
            is ignored.

    Returns:
        tuple[list[str], list[str], list[str]]: The names that are missing,
        surplus, and of another shape.
    """
    own = model.state_dict()
    given = {
        name.removeprefix('module.'): getattr(value, 'shape', None)
        for name, value in state.items()
    }
    dispensable = set()
    if FINGERPRINT in given:
        del given[FINGERPRINT]
        dispensable = resume_only(model) | {
            name
            for name, parameter in model.named_parameters()
            if not parameter.requires_grad
        }
    missing = [
        name
        for name in own
        if name not in given
        and name not in dispensable
        and not name.endswith('num_batches_tracked')
    ]
    surplus = [name for name in given if name not in own]
    misshapen = [
        name
        for name, value in own.items()
        if name in given and given[name] != value.shape
    ]
    return missing, surplus, misshapen


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside distributed and test-time wrappers."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


class CheckpointFitHook(Hook):
    """Refuse a checkpoint whose weights are not exactly those of the model.

    mmengine loads what fits and only warns about the rest, so that a
    checkpoint of another config gives the scores of random weights.

    Args:
        training (bool): Whether the run trains, and does not test.
        allowed (str | Sequence[str]): Patterns of names, such as
            ``'head.*'``, that may be missing, surplus or of another shape, in
            what a training starts from (``load_from`` without ``resume``) or
            a test loads. Defaults to ().
    """

    # After hooks that complete a checkpoint.
    priority = 'LOWEST'

    def __init__(
        self, training: bool, allowed: str | Sequence[str] = ()
    ) -> None:
        self.training = training
        allowed = [allowed] if isinstance(allowed, str) else allowed
        self.allowed = (GUIDANCE, *allowed)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare names and shapes before the weights are loaded.

        A run that is resumed says once which schedules it will not take from
        its config.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): What was read from the file. Weights of another
                shape are taken out of it where that is allowed.

        Raises:
            UsageError: If something does not fit, or if a test set has other
                classes than the training.
        """
        source = runner._load_from or 'the checkpoint'
        resumed = self.training and runner._resume
        if resumed and 'optimizer' not in checkpoint:
            raise UsageError(
                f'{source} has no state of the optimizer, so a training '
                'cannot go on from it; resume from a checkpoint without '
                "'best' in its name, or start from it by `load_from`"
            )
        if resumed:
            note = schedule_note(
                runner.param_schedulers, checkpoint.get('param_schedulers')
            )
            if note is not None:
                runner.logger.warning(note)
        state = checkpoint.get('state_dict', checkpoint)
        allowed = () if resumed else self.allowed
        check_fit(unwrap(runner.model), state, source, allowed)
        if not self.training:
            meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
            dataset = runner.test_dataloader.dataset
            check_tested_classes(
                meta.get('classes'),
                getattr(dataset, 'metainfo', {}).get('classes'),
            )


def check_fit(
    model: nn.Module, state: dict, source: str, allowed: Sequence[str] = ()
) -> None:
    """Raise if a state is not exactly that of a model.

    Args:
        model (nn.Module): The model, without wrapper.
        state (dict): Names to tensors. Those of another shape that are
            allowed are taken out.
        source (str): Where it is from, for the message.
        allowed (Sequence[str]): See :class:`CheckpointFitHook`.

    Raises:
        UsageError: If something does not fit that is not allowed.
    """
    missing, surplus, misshapen = misfit(model, state)
    total = _count(model.state_dict())
    if not set(model.state_dict()) - {*missing, *misshapen}:
        raise UsageError(
            f'{source} gives none of the {total} weights of this model; '
            'pre-trained weights of a backbone are '
            "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE)"
        )
    parts = []
    for names, sentence in (
        (missing, 'lacks {}'),
        (misshapen, 'has {} in another shape'),
        (surplus, 'has {} that this model lacks'),
    ):
        wrong = [name for name in names if not _matches(name, allowed)]
        if wrong:
            parts.append(sentence.format(_some(wrong)))
    if parts:
        raise UsageError(
            f'{source} should have exactly the {total} weights of this '
            f'model, but {", and ".join(parts)}: it was made with another '
            'config; give the same --cfg-options as in its training, or name '
            'what may differ in `load_allowed`, such as '
            '--cfg-options load_allowed=head.*'
        )
    for name in misshapen:
        state.pop(name, None)
        state.pop(f'module.{name}', None)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check_tested_classes(
    trained: Sequence[str] | None, tested: Sequence[str] | None
) -> None:
    """Raise if a test set numbers its classes otherwise than the training.

    A folder of images that lacks one class moves the labels of all after it.

    Args:
        trained (Sequence[str], optional): Classes that the checkpoint names.
        tested (Sequence[str], optional): Classes of the test set.

    Raises:
        UsageError: If both are known, and are not the same in order.
    """
    if trained is None or tested is None or list(trained) == list(tested):
        return
    different = sorted(set(trained) ^ set(tested))[:5]
    raise UsageError(
        f'the test set should have the {len(trained)} classes that the '
        'checkpoint was trained on, in the same order, but has '
        f'{len(tested)}'
        + (
            f'; in one of them only: {", ".join(different)}'
            if different
            else ''
        )
        + "; give the test set the training's `classes`"
    )


def _count(items: Iterable) -> int:
    return sum(1 for _ in items)


def _some(names: list[str]) -> str:
    return f'{len(names)} (such as {", ".join(names[:3])})'
