"""One batch for the rehearsal, and why a step may fail on it."""

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmdavpt.errors import UsageError, first_few

from .data.data_check import evenly_spread
from .no_trace import isolated_dataset


@dataclass
class TrialBatch:
    """A batch as its loader gives it.

    Args:
        split (str): 'train' or 'val'.
        files (list[str]): The image files, or the indices of samples without.
        data (Any): The raw batch. Defaults to None: a sample failed to load.

    Attributes:
        defect (str | None): What is wrong with its labels or sizes, if
            anything. A step changes the batch, so it is found before.
    """

    split: str
    files: list[str]
    data: Any = None

    def __post_init__(self) -> None:
        data = self.data if isinstance(self.data, dict) else {}
        pairs = zip(
            data.get('data_samples') or (),
            data.get('inputs', ()),
            strict=False,
        )
        samples = [
            (sample, tuple(image.shape[-2:]))
            for sample, image in pairs
            if isinstance(sample, BaseDataElement) and torch.is_tensor(image)
        ]
        self.label_size_defect = _label_size_defect(samples, self.split)
        self.defect = (
            _missing_labels(samples, self.split)
            or self.label_size_defect
            or _image_size_defect(samples, self.split)
        )


#: Data samples, each with height and width of its input.
Samples = list[tuple[BaseDataElement, tuple[int, ...]]]


def trial_batch(runner: Runner, split: str) -> TrialBatch:
    """Load a batch of a split in this process, without the runner's loader.

    Args:
        runner (Runner): The runner.
        split (str): 'train' or 'val'.

    Raises:
        UsageError: If the loader has no batch, or a sample cannot be loaded.
    """
    loader = getattr(runner, f'{split}_dataloader')
    # `num_batch_per_epoch` wraps the dataset in one that cannot be copied.
    dataset = getattr(loader.dataset, '_dataset', loader.dataset)
    size = loader.batch_size or loader.batch_sampler.batch_size
    if not len(loader):
        raise UsageError(
            f'{split}_dataloader has no batch, but {len(dataset)} samples; '
            'lower its batch_size, or set drop_last=False'
        )
    indices = evenly_spread(len(dataset), size)
    if split == 'val':  # the first batch
        indices = range(len(indices))
    dataset = isolated_dataset(dataset)
    items, files = [], []
    try:
        for i in indices:
            info = getattr(dataset, 'get_data_info', lambda i: {})(i)
            files.append(info.get('img_path') or f'sample {i}')
            items.append(dataset[i])
        return TrialBatch(split, files, loader.collate_fn(items))
    except Exception as error:
        batch = TrialBatch(split, files[-1:])
        raise failure(f'{split} data', error, batch) from error


def failure(
    step: str, error: Exception, batch: TrialBatch | None = None
) -> UsageError:
    """Return the sentence for a step of the rehearsal that failed.

    Args:
        step (str): The step, such as 'training step'.
        error (Exception): What it raised.
        batch (TrialBatch, optional): What it was working on. Defaults to
            None.
    """
    reason = str(error).strip().split('\n')[0].rstrip('.')
    advice = batch.defect if batch else None
    files = f' on {first_few(batch.files)}' if batch else ''
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


def _missing_labels(samples: Samples, split: str) -> str | None:
    names = [name for sample, _ in samples for name in sample.keys()]
    if not samples or any(name.startswith('gt_') for name in names):
        return None
    return (
        'its samples have no labels: add LoadAnnotations to the pipeline of '
        f'{split}_dataloader, or use a dataset with labels'
    )


def _label_size_defect(samples: Samples, split: str) -> str | None:
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


def _image_size_defect(samples: Samples, split: str) -> str | None:
    sizes = sorted({size for _, size in samples})
    if len(sizes) < 2:
        return None
    return (
        f'its images have different sizes ({first_few(sizes)}): set '
        f'{split}_dataloader.batch_size=1, or resize or crop to one size'
    )
