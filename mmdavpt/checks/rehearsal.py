"""Rehearsal: one training step, one validation batch and one checkpoint."""

import copy
from os import listdir, path
from tempfile import TemporaryDirectory

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import EpochBasedTrainLoop as ByEpoch
from mmengine.runner import IterBasedTrainLoop as ByIteration
from mmengine.runner import Runner, ValLoop
from mmengine.runner.amp import autocast
from mmengine.runner.loops import _update_losses
from torch import nn

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.engine.hooks import PromptMappingHook, TrainingCheckHook
from mmdavpt.engine.no_trace import no_trace
from mmdavpt.errors import UsageError, first_few
from mmdavpt.ranks import run_on_rank_0
from mmdavpt.unwrap import unwrap

from .silent import short_training
from .trial_batch import explained, load_trial_batch


class RehearsalPassed(SystemExit):
    """End the program after a rehearsal; without a code, the status is 0."""


class RehearsalHook(Hook):
    """Rehearse a run before it starts, unless it resumes.

    Args:
        stop (bool): Whether to end the program after the rehearsal, for
            ``--check-only``. Defaults to False.
    """

    # After the checks of classes, before prompts and mapping are initialized.
    priority = 35

    def __init__(self, stop: bool = False) -> None:
        self.stop = stop

    def before_train(self, runner: Runner) -> None:
        """Rehearse on rank 0; the other ranks wait.

        Raises:
            UsageError: On all ranks, if a step fails.
            RehearsalPassed: On all ranks, if the program is to end here.
        """
        if not runner._resume and can_rehearse(runner):
            if warning := short_training(runner):
                runner.logger.warning(warning)
            run_on_rank_0(lambda: rehearse(runner))
            runner.logger.info('The rehearsal passed.')
        if self.stop:
            raise RehearsalPassed


def can_rehearse(runner: Runner) -> bool:
    """Return whether one rank can run a training step without the others.

    Args:
        runner (Runner): The runner. Loops of other libraries and wrappers that
            shard weights are not supported.
    """
    known = isinstance(runner.model, (BaseModel, MMDistributedDataParallel))
    return known and isinstance(runner.train_loop, (ByEpoch, ByIteration))


def rehearse(runner: Runner) -> None:
    """Run each step of a training once, and leave no trace of it.

    Args:
        runner (Runner): A runner in ``before_train``: weights are loaded.

    Raises:
        UsageError: If a step fails. It names the step, the files and the
            reason.
    """
    hooks = [h for h in runner.hooks if isinstance(h, CheckpointHook)]
    with (
        no_trace(runner),
        TemporaryDirectory(prefix='rehearsal_', dir=runner.work_dir) as folder,
    ):
        _training_step(runner)
        if isinstance(runner.val_loop, ValLoop):
            _validation(runner, folder)
        with explained('checkpoint'):
            options = hooks[0].args if hooks else {}
            runner.save_checkpoint(folder, 'rehearsal.pth', **options)
            # On 'meta', tensors are read and released one by one.
            read_run_checkpoint(path.join(folder, 'rehearsal.pth'), 'meta')


def _training_step(runner: Runner) -> None:
    batch = load_trial_batch(runner, 'train')
    model = unwrap(runner.model)
    model.train()
    with explained('training step', batch):
        for hook in runner.hooks:
            if isinstance(hook, PromptMappingHook):
                _guide_temporarily(model)
            if isinstance(hook, (PromptMappingHook, TrainingCheckHook)):
                # By name, as mmengine does: a subclass may have its order.
                given = dict(batch_idx=0, data_batch=batch.data)
                hook.before_train_iter(runner, **given)
        model.train_step(batch.data, optim_wrapper=runner.optim_wrapper)
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # errors of a GPU come late


def _guide_temporarily(model: nn.Module) -> None:
    """Give a guided model any mapping, so that its loss is rehearsed."""
    guidance = getattr(model, 'guidance', None)
    if guidance is not None:
        guidance.initialized.fill_(True)
        for k in range(guidance.num_classes):
            guidance.mapping[k] = k % guidance.num_prompts


def _validation(runner: Runner, folder: str) -> None:
    batch = load_trial_batch(runner, 'val')
    model = unwrap(runner.model)
    model.eval()
    with explained('validation batch', batch), torch.no_grad():
        with autocast(enabled=runner.val_loop.fp16):
            outputs = model.val_step(batch.data)
    with explained('metric', batch):
        evaluator = copy.deepcopy(runner.val_loop.evaluator)
        for options in map(vars, evaluator.metrics):
            for name, file in options.items():  # that it would write
                if name.startswith('out') and isinstance(file, str):
                    options[name] = path.join(folder, path.basename(file))
        outputs, losses = _update_losses(outputs, {})
        evaluator.process(data_samples=outputs, data_batch=batch.data)
        metrics = [*evaluator.evaluate(len(outputs)), *losses]
    if not metrics and not listdir(folder):
        kinds = first_few(type(m).__name__ for m in evaluator.metrics)
        raise UsageError(f'the metric {kinds} gives no result')
    for part in [*runner.hooks, *(runner.param_schedulers or ())]:
        needed = getattr(part, 'save_best', None)
        for name in needed or [vars(part).get('monitor')]:
            # Hooks may add endings, such as "_origin".
            if name and not name.startswith(('auto', *metrics)):
                raise UsageError(
                    f'{type(part).__name__} needs the metric {name!r}, but '
                    f'the validation gives {", ".join(metrics)}'
                )
