"""Load one batch for the rehearsal, and explain a step that fails on it."""

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmdavpt.engine.no_trace import isolated_dataset
from mmdavpt.errors import UsageError, first_few
from mmdavpt.mapping.loaders import batch_size_of

from .data.before_run import evenly_spread


@dataclass
class TrialBatch:
    """A batch as its loader gives it.

    Args:
        files (list[str]): The image files, or the indices of samples without.
        data (Any): The raw batch. Defaults to None: a sample failed to load.
        defect (str, optional): The defect of its labels or sizes, found before
            a step changes the batch. Defaults to None.
    """

    files: list[str]
    data: Any = None
    defect: str | None = None


def trial_batch(runner: Runner, split: str) -> TrialBatch:
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
    size = batch_size_of(loader)
    if not len(loader):
        raise UsageError(
            f'{split}_dataloader has no batch, but {len(dataset)} samples; '
            'lower its batch_size, or set drop_last=False'
        )
    indices = evenly_spread(len(dataset), size)
    if split == 'val':  # the first batch
        indices = range(len(indices))
    items, files = [], []
    try:
        dataset = isolated_dataset(dataset)
        for i in indices:
            info = getattr(dataset, 'get_data_info', lambda i: {})(i)
            files.append(info.get('img_path') or f'sample {i}')
            items.append(dataset[i])
        data = loader.collate_fn(items)
    except Exception as error:
        batch = TrialBatch(files[-1:])
        raise failure(f'{split} data', error, batch) from error
    sizes = _sizes(data)
    defect = _label_size_defect(sizes, split)
    if defect and split == 'train':  # a batch of one would train silently
        raise UsageError(f'train_dataloader gives wrong labels: {defect}')
    return TrialBatch(files, data, defect or _defect(sizes, split))


def failure(
    step: str, error: Exception, batch: TrialBatch | None = None
) -> UsageError:
    """Return the sentence for a step of the rehearsal that failed.

    Args:
        step (str): The step, such as 'training step'.
        error (Exception): The error that it raised.
        batch (TrialBatch, optional): The batch of the step. Defaults to None.
    """
    reason = str(error).strip().split('\n')[0].rstrip('.')
    advice = batch.defect if batch else None
    files = f' on {first_few(batch.files)}' if batch and batch.files else ''
    if isinstance(error, UsageError):
        files = ''  # the message names the file
    else:
        reason = f'{type(error).__name__}: {reason}'
        advice = advice or (
            'the log file has the traceback; --no-check skips this check'
        )
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        advice = 'lower batch_size or the size of images, or use --amp'
    return UsageError(
        f'the rehearsal of the {step} failed{files}: {reason}'
        + (f'; {advice}' if advice else '')
    )


def _sizes(data: Any) -> list[tuple[BaseDataElement, tuple[int, ...]]]:
    """Return the data samples of a batch, each with the size of its image."""
    data = data if isinstance(data, dict) else {}
    images, samples = data.get('inputs', ()), data.get('data_samples') or ()
    return [
        (sample, tuple(image.shape[-2:]))
        for sample, image in zip(samples, images, strict=False)
        if isinstance(sample, BaseDataElement) and torch.is_tensor(image)
    ]


def _label_size_defect(samples: list, split: str) -> str | None:
    """Return whether a label map has another size than its image."""
    for sample, size in samples:
        if 'gt_sem_seg' not in sample:
            continue
        height, width = sample.gt_sem_seg.data.shape[-2:]
        advice = 'apply the same transforms to both'
        if split == 'val':  # predictions are resized to the image file
            size = tuple(sample.get('ori_shape', size))[:2]
            advice = 'put LoadAnnotations after Resize in its pipeline'
        if (height, width) != size:
            return (
                f'the labels {sample.get("seg_map_path", "")} have '
                f'{width}×{height} pixels, but their image has '
                f'{size[1]}×{size[0]}: check the file, and {advice}'
            )
    return None


def _defect(samples: list, split: str) -> str | None:
    """Return whether labels are missing or image sizes differ."""
    names = [name for sample, _ in samples for name in sample.keys()]
    if samples and not any(name.startswith('gt_') for name in names):
        return (
            'its samples have no labels: add LoadAnnotations to the pipeline '
            f'of {split}_dataloader, or use a dataset with labels'
        )
    sizes = sorted({size for _, size in samples})
    if len(sizes) > 1:
        return (
            f'its images have different sizes ({first_few(sizes)}): set '
            f'{split}_dataloader.batch_size=1, or resize or crop to one size'
        )
    return None
