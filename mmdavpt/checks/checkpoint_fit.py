"""A checkpoint of another model is an error, and not a warning."""

from collections.abc import Iterable, Sequence

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmdavpt.errors import UsageError


def missing_parameters(model: nn.Module, state_dict: dict) -> list[str]:
    """Return the parameters of a model that a checkpoint does not give.

    Args:
        model (nn.Module): The model, without wrapper.
        state_dict (dict): Names to tensors; a leading 'module.' is ignored.

    Returns:
        List[str]: The names that are absent, or have another shape.
    """
    shapes = {
        name.removeprefix('module.'): getattr(value, 'shape', None)
        for name, value in state_dict.items()
    }
    return [
        name
        for name, parameter in model.named_parameters()
        if shapes.get(name) != parameter.shape
    ]


def surplus_names(model: nn.Module, state_dict: dict) -> list[str]:
    """Return what a checkpoint holds beyond a model.

    The state of the guidance does not count: prediction has no use for it, so
    a guided checkpoint may be tested unguided.

    Args:
        model (nn.Module): The model, without wrapper.
        state_dict (dict): Names to tensors; a leading 'module.' is ignored.

    Returns:
        List[str]: The names that the model lacks.
    """
    known = set(model.state_dict())
    names = (name.removeprefix('module.') for name in state_dict)
    return [
        name
        for name in names
        if name not in known and not name.startswith('guidance.')
    ]


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside distributed and test-time wrappers."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


class CheckpointFitHook(Hook):
    """Refuse a checkpoint that does not have all parameters of the model.

    mmengine loads what fits and only warns about the rest, so that a
    checkpoint of another config gives the scores of random weights. Buffers
    are not asked for. Of what starts a training (``load_from`` without
    ``resume``) a part may be wanted, but not nothing at all.
    """

    # After hooks that complete a checkpoint.
    priority = 'LOWEST'

    def __init__(self, training: bool) -> None:
        self.training = training

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare names and shapes before the weights are loaded.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): What was read from the file.

        Raises:
            UsageError: If parameters are missing, or if there are more, or
                if a test set has other classes than the training.
        """
        model = unwrap(runner.model)
        missing = missing_parameters(
            model, checkpoint.get('state_dict', checkpoint)
        )
        if self.training and not runner._resume:
            if len(missing) == _count(model.parameters()):
                raise UsageError(
                    f'{runner._load_from or "`load_from`"} gives none of the '
                    f'{len(missing)} parameters of this model; pre-trained '
                    'weights of a backbone are '
                    "model.backbone.init_cfg=dict(type='Pretrained', "
                    'checkpoint=FILE)'
                )
            return
        if missing:
            raise UsageError(
                f'{runner._load_from or "the checkpoint"} lacks '
                f'{_some(missing)} of the {_count(model.parameters())} '
                'parameters of this model, or has them in another shape: it '
                'was made with another config'
            )
        surplus = surplus_names(
            model, checkpoint.get('state_dict', checkpoint)
        )
        if surplus:
            raise UsageError(
                f'{runner._load_from or "the checkpoint"} has '
                f'{_some(surplus)} that this model lacks, so it was made with '
                'another config; give the same --cfg-options as in training'
            )
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


def _count(items: Iterable) -> int:
    return sum(1 for _ in items)


def _some(names: list[str]) -> str:
    return f'{len(names)} (such as {", ".join(names[:3])})'
