"""A checkpoint of another model is an error, and not a warning."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmdavpt.checkpoints.fit import GUIDANCE, check_fit
from mmdavpt.errors import UsageError

from .config.resumed_schedule import schedule_note


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
