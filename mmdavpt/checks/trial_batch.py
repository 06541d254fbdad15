"""One batch for the rehearsal, and why a step may fail on it."""

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from mmdavpt.errors import UsageError, first_few

from .no_trace import isolated_dataset

#: What a loader of one batch keeps of a loader's config.
LOADER_KEYS = (
    'batch_size',
    'sampler',
    'batch_sampler',
    'collate_fn',
    'drop_last',
)


@dataclass
class TrialBatch:
    """A batch as its loader gives it.

    Args:
        split (str): 'train' or 'val'.
        files (list[str]): The image files, or the indices of samples without.
        data (Any): The raw batch. Defaults to None: a sample failed to load.

    Attributes:
        defect (str | None): What is wrong with its labels or sizes, if
            anything. A step changes the batch, so it is looked for before.
    """

    split: str
    files: list[str]
    data: Any = None

    def __post_init__(self) -> None:
        self.defect = (
            _missing_labels(self)
            or label_size_defect(self)
            or _image_size_defect(self)
        )

    @property
    def samples(self) -> list[tuple[BaseDataElement, tuple[int, ...]]]:
        """list[tuple]: Each data sample, with height and width of its input.

        Empty if the batch is not one of images with data samples.
        """
        data = self.data if isinstance(self.data, dict) else {}
        pairs = zip(
            data.get('data_samples') or (),
            data.get('inputs', ()),
            strict=False,
        )
        return [
            (sample, tuple(image.shape[-2:]))
            for sample, image in pairs
            if isinstance(sample, BaseDataElement) and torch.is_tensor(image)
        ]


class _Recorded(Dataset):
    """A dataset that records which samples were loaded."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.files: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dataset, name)

    def __deepcopy__(self, memo: dict) -> '_Recorded':
        return self  # the runner copies a loader's config

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        info = {}
        if hasattr(self.dataset, 'get_data_info'):
            info = self.dataset.get_data_info(index)
        self.files.append(info.get('img_path') or f'sample {index}')
        return self.dataset[index]


def trial_batch(runner: Runner, split: str) -> TrialBatch:
    """Load the first batch of a split in this process.

    A new loader goes over the dataset of the runner's loader, so that the
    runner's loader, sampler and transforms stay as they are.

    Args:
        runner (Runner): The runner.
        split (str): 'train' or 'val'.

    Raises:
        UsageError: If the loader gives no batch, or a sample cannot be
            loaded.
    """
    name = f'{split}_dataloader'
    dataset = getattr(runner, name).dataset
    # `num_batch_per_epoch` wraps the dataset in one that cannot be copied.
    dataset = _Recorded(
        isolated_dataset(getattr(dataset, '_dataset', dataset))
    )
    config = {k: v for k, v in runner.cfg[name].items() if k in LOADER_KEYS}
    loader = runner.build_dataloader(
        dict(config, dataset=dataset, num_workers=0), seed=runner.seed
    )
    try:
        data = next(iter(loader), None)
    except Exception as error:
        batch = TrialBatch(split, dataset.files[-1:])
        raise failure(f'{split} data', error, batch) from error
    if data is None:
        raise UsageError(
            f'{name} gives no batch of its {len(dataset)} samples; lower its '
            'batch_size, or set drop_last=False'
        )
    return TrialBatch(split, dataset.files, data)


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
    files = ''
    if not isinstance(error, UsageError):  # which names the file
        reason = f'{type(error).__name__}: {reason}'
        files = f' on {first_few(batch.files)}' if batch else ''
    advice = batch.defect if batch else None
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        advice = 'lower batch_size or the size of images, or use --amp'
    elif advice is None and not isinstance(error, UsageError):
        advice = 'the log file has the traceback; --no-check skips this check'
    return UsageError(
        f'the rehearsal of the {step} failed{files}: {reason}'
        + (f'; {advice}' if advice else '')
    )


def _missing_labels(batch: TrialBatch) -> str | None:
    names = [name for sample, _ in batch.samples for name in sample.keys()]
    if not batch.samples or any(name.startswith('gt_') for name in names):
        return None
    return (
        'its samples have no labels: add LoadAnnotations to the pipeline of '
        f'{batch.split}_dataloader, or use a dataset with labels'
    )


def label_size_defect(batch: TrialBatch) -> str | None:
    """Return whether a label map has another size than its image.

    Args:
        batch (TrialBatch): The batch.
    """
    for sample, size in batch.samples:
        if 'gt_sem_seg' not in sample:
            continue
        height, width = sample.gt_sem_seg.data.shape[-2:]
        if batch.split != 'train':
            # Predictions are resized to the size of the image file.
            size = tuple(sample.get('ori_shape', size))[:2]
        if (height, width) != size:
            return (
                f'the labels {sample.get("seg_map_path", "")} have '
                f'{width}×{height} pixels, but their image has '
                f'{size[1]}×{size[0]}: check the label file, and '
                + (
                    'apply the same transforms to both'
                    if batch.split == 'train'
                    else f'put LoadAnnotations after Resize in the pipeline '
                    f'of {batch.split}_dataloader'
                )
            )
    return None


def _image_size_defect(batch: TrialBatch) -> str | None:
    sizes = sorted({size for _, size in batch.samples})
    if len(sizes) < 2:
        return None
    found = ' and '.join(f'{w}×{h}' for h, w in sizes[:2])
    return (
        f'its images have different sizes ({found}): set '
        f'{batch.split}_dataloader.batch_size=1, or resize or crop to one size'
    )
