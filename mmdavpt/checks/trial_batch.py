"""Load one batch for the rehearsal, and explain a step that fails on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
            Defaults to [].
        data (Any): The raw batch. Defaults to None: a sample failed to load.
        defect (str, optional): The defect of its labels or sizes, found before
            a step changes the batch. Defaults to None.
    """

    files: list[str] = field(default_factory=list)
    data: Any = None
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


def _find_defect(data: Any, split: str) -> str | None:
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
