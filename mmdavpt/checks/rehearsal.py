"""Rehearsal: one training step, one validation batch and one checkpoint."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from mmengine.structures import BaseDataElement
from torch import nn

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.checks.data.before_run import evenly_spread
from mmdavpt.engine.hooks import PromptMappingHook, TrainingCheckHook
from mmdavpt.engine.no_trace import isolated_dataset, no_trace
from mmdavpt.errors import UsageError, first_few
from mmdavpt.mapping.loaders import batch_size_of
from mmdavpt.ranks import run_on_rank_0
from mmdavpt.unwrap import unwrap

from .silent import short_training


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


@dataclass
class TrialBatch:
    """A batch as its loader gives it.

    Args:
        files (list[str]): The image files, or the indices of samples without.
            Defaults to [].
        data (object): The raw batch. Defaults to None: a sample failed to
            load.
        defect (str, optional): The defect of its labels or sizes, found before
            a step changes the batch. Defaults to None.
    """

    files: list[str] = field(default_factory=list)
    data: object = None
    defect: str | None = None


def load_trial_batch(runner: Runner, split: str) -> TrialBatch:
    """Load a batch of a split in this process, without the runner's loader.

    Args:
        runner (Runner): The runner.
        split (str): 'train' or 'val'.

    Raises:
        UsageError: If the loader has no batch, if a sample cannot be loaded,
            or if training labels have another size than their image.
    """
    loader = getattr(runner, f'{split}_dataloader')
    # `num_batch_per_epoch` wraps the dataset in one that cannot be copied.
    dataset = getattr(loader.dataset, '_dataset', loader.dataset)
    if not len(loader):
        raise UsageError(
            f'{split}_dataloader has no batch, but {len(dataset)} samples; '
            'lower its batch_size, or set drop_last=False'
        )
    indices = evenly_spread(len(dataset), batch_size_of(loader))
    if split == 'val':  # the first batch
        indices = range(len(indices))
    batch, files, items = TrialBatch(), [], []
    with explained(f'{split} data', batch):
        dataset = isolated_dataset(dataset)
        for i in indices:
            info = getattr(dataset, 'get_data_info', lambda i: {})(i)
            batch.files = [info.get('img_path') or f'sample {i}']
            files += batch.files
            items.append(dataset[i])
        batch.data, batch.files = loader.collate_fn(items), files
        batch.defect = _find_defect(batch.data, split)
    return batch


@contextmanager
def explained(step: str, batch: TrialBatch | None = None) -> Iterator[None]:
    """Turn an error of a step of the rehearsal into one sentence.

    Args:
        step (str): The step, such as 'training step'.
        batch (TrialBatch, optional): The batch of the step. Defaults to None.

    Raises:
        UsageError: If the step raises an error.
    """
    try:
        yield
    except Exception as error:
        reason = str(error).strip().split('\n')[0].rstrip('.')
        advice, files = '', ''
        if not isinstance(error, UsageError):  # which names the file
            reason = f'{type(error).__name__}: {reason}'
            advice = 'the log file has the traceback; --no-check skips this'
            if batch and batch.files:
                files = f' on {first_few(batch.files)}'
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            advice = 'lower batch_size or the size of images, or use --amp'
        elif batch and batch.defect:
            advice = batch.defect
        raise UsageError(
            f'the rehearsal of the {step} failed{files}: {reason}'
            + (f'; {advice}' if advice else '')
        ) from error


def _find_defect(data: object, split: str) -> str | None:
    """Return what is wrong with the labels or sizes of a batch."""
    data = data if isinstance(data, dict) else {}
    images, samples = data.get('inputs', ()), data.get('data_samples') or ()
    pairs = []
    for sample, image in zip(samples, images, strict=False):
        if isinstance(sample, BaseDataElement) and torch.is_tensor(image):
            pairs.append((sample, tuple(image.shape[-2:])))
    for sample, size in pairs:
        if 'gt_sem_seg' not in sample:
            continue
        height, width = sample.gt_sem_seg.data.shape[-2:]
        advice = 'apply the same transforms to both'
        if split == 'val':  # predictions are resized to the image file
            size = tuple(sample.get('ori_shape', size))[:2]
            advice = 'put LoadAnnotations after Resize in its pipeline'
        if (height, width) != size:
            defect = (
                f'the labels {sample.get("seg_map_path", "")} have '
                f'{width}×{height} pixels, but their image has '
                f'{size[1]}×{size[0]}: check the file, and {advice}'
            )
            if split == 'train':  # a batch of one would train silently
                raise UsageError(defect)
            return defect
    names = [name for sample, _ in pairs for name in sample.keys()]
    if pairs and not any(name.startswith('gt_') for name in names):
        return (
            'its samples have no labels: add LoadAnnotations to the pipeline '
            f'of {split}_dataloader, or use a dataset with labels'
        )
    sizes = sorted({size for _, size in pairs})
    if split == 'val' and len(sizes) > 1:  # training batches are padded
        return (
            f'its images have different sizes ({first_few(sizes)}): set '
            'val_dataloader.batch_size=1, or resize or crop to one size'
        )
    return None
