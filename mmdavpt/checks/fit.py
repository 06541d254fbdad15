"""Check that weights, classes, guidance and checkpoints fit each other."""

import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner
from mmpretrain.models import MultiLabelClsHead
from torch import nn

from mmdavpt.checkpoints.fit import GUIDANCE, check_fit
from mmdavpt.engine.class_counts import (
    class_count_defect,
    class_order_defect,
    classes_of,
    classes_of_heads,
)
from mmdavpt.engine.hooks import PromptMappingHook
from mmdavpt.errors import UsageError, first_few
from mmdavpt.unwrap import unwrap

from .build import DryRunner
from .introspection import argument_names, walk


def find_misfits(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield a sentence for each pair of parts that do not fit.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
    """
    loops = [dry.train_loop, dry.val_loop, dry.test_loop]
    classes = [classes_of(loop.dataloader.dataset) for loop in loops if loop]
    heads = classes_of_heads(dry.model)
    defects = []
    if classes[0] is not None:
        defects.append(class_count_defect(heads, len(classes[0])))
    defects.append(class_order_defect(classes[0], classes[-1]))
    yield from filter(None, defects)
    if dry.train_loop is None:
        return
    yield from missing_weights(cfg)
    if getattr(dry.model, 'guidance', None) is None:
        return
    if not any(isinstance(h, PromptMappingHook) for h in dry.hooks):
        yield (
            'nothing keeps the class-to-prompt mapping of the guided model; '
            "add dict(type='mmdavpt.PromptMappingHook') to `custom_hooks`, or "
            'set model.guidance=None'
        )
    if isinstance(getattr(dry.model, 'head', None), MultiLabelClsHead):
        yield (
            'guidance needs one class per image, but `model.head` predicts '
            'several; set model.guidance=None'
        )


def missing_weights(cfg: Config) -> Iterator[str]:
    """Yield pre-trained weights that are not there."""
    for path, node in walk(cfg.model, 'model'):
        weights = node.get('checkpoint')
        if node.get('type') == 'Pretrained' and not _exists(weights):
            yield (
                f'the pre-trained weights {weights} do not exist; '
                'docs/weights.md lists what can be loaded; to name another '
                f'file, use --cfg-options {path}.checkpoint=FILE'
            )


def is_local(path: str) -> bool:
    """Return whether a path is a place on this machine, not an address."""
    return '://' not in path


def _exists(path: Any) -> bool:
    """Return whether a local file exists; addresses are left to the run."""
    path = str(path)
    return not is_local(path) or osp.isfile(osp.expanduser(path))


def check_checkpoint_exists(path: str, use: str) -> None:
    """Raise a sentence if a checkpoint file is missing.

    Args:
        path (str): Path or address of the checkpoint.
        use (str): What it is for, as a noun phrase.

    Raises:
        UsageError: If it does not exist; the message lists those of its
            folder.
    """
    if _exists(path):
        return
    folder = Path(path).expanduser().parent
    found = sorted(
        file.name
        for kind in ('*.pth', '*.safetensors')
        for file in folder.glob(kind)
    )
    hint = (
        f'its folder has {first_few(found, 5)}'
        if found
        else f'its folder {folder} has no checkpoint'
    )
    raise UsageError(f'{use} {path} does not exist; {hint}')


class CheckpointFitHook(Hook):
    """Refuse a checkpoint whose weights are not exactly those of the model.

    mmengine loads what fits and only warns about the rest, so that a
    checkpoint of another config gives the scores of random weights.

    Args:
        training (bool): Whether the run trains, and does not test.
        allowed (str | Sequence[str]): Patterns of names, such as
            ``'head.*'``, that may be missing, unexpected or of another shape,
            in what a training starts from (``load_from`` without ``resume``)
            or a test loads. Defaults to ().
    """

    # After hooks that complete a checkpoint.
    priority = 'LOWEST'

    def __init__(
        self, training: bool, allowed: str | Sequence[str] = ()
    ) -> None:
        self.training = training
        allowed = [allowed] if isinstance(allowed, str) else allowed
        self.allowed = (GUIDANCE, *allowed)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names, shapes and classes before the weights are loaded.

        A resumed run warns about schedules that it does not take from its
        config.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): What was read from the file. Weights of another
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
            note = schedule_note(
                runner.param_schedulers, checkpoint.get('param_schedulers')
            )
            if note is not None:
                runner.logger.warning(note)
        state = checkpoint.get('state_dict', checkpoint)
        allowed = () if resumed else self.allowed
        check_fit(model_of(runner.model), state, source, allowed)
        loader = (
            runner.train_dataloader
            if self.training
            else runner.test_dataloader
        )
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        defect = class_order_defect(
            meta.get('classes'),
            classes_of(loader.dataset),
            'training of the checkpoint',
            'training set' if self.training else 'test set',
        )
        if defect and self.training and not resumed:
            runner.logger.warning(f'{source}: {defect}')
        elif defect:
            raise UsageError(defect)


def schedule_note(built: Any, stored: Any) -> str | None:
    """Return what a resumed run takes from its checkpoint, not its config.

    mmengine restores whole schedules, also their ends and rates: a config
    that trains longer does not make a schedule longer.

    Args:
        built (Sequence[_ParamScheduler] | Mapping): The schedules of the
            config, as the runner built them; by names for several optimizers.
        stored (Sequence[dict] | Mapping): Their states in the checkpoint.

    Returns:
        str | None: One sentence; None if nothing differs, or nothing was
        stored.
    """
    if isinstance(built, Mapping) and isinstance(stored, Mapping):
        notes = (schedule_note(built[k], stored.get(k)) for k in built)
        return next(filter(None, notes), None)
    if not built or not stored:
        return None
    different = []
    if len(built) != len(stored):
        different.append(f'{len(stored)} schedules instead of {len(built)}')
    for i, (schedule, state) in enumerate(zip(built, stored, strict=False)):
        # Other attributes say how far the schedule is.
        fixed = argument_names(type(schedule)) - {'last_step', 'optimizer'}
        for key in sorted(fixed | {'base_values'}):
            value = getattr(schedule, key, None)
            if state.get(key, value) != value:
                different.append(
                    f'param_scheduler.{i}.{key}={str(state[key])[:60]} '
                    f'instead of {str(value)[:60]}'
                )
    if not different:
        return None
    return (
        'the run resumes with the schedule of the checkpoint, which differs '
        f'from the config: {first_few(different, 4)}; to train by the '
        'config, start from the checkpoint by `load_from`, without --resume'
    )


def model_of(model: nn.Module) -> nn.Module:
    """Return the model inside distributed and test-time wrappers."""
    model = unwrap(model)
    return model_of(model.module) if isinstance(model, BaseTTAModel) else model
