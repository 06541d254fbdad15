"""Passes over training images before training."""

import copy
import math
from typing import Callable, List, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner
from mmengine.runner.runner import _SlicedDataset
from mmengine.utils import ProgressBar
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    Sampler,
    SequentialSampler,
    Subset,
)

from mmdavpt.engine.fault_tolerance.checked_pipeline import CheckedPipeline
from mmdavpt.engine.resuming.stopping import StopRequest
from mmdavpt.engine.workers import ignore_signals_in_workers


class _FirstSamples(Dataset):
    """The first samples of a dataset, as many as the host limits it to.

    The host's own wrapper, of ``num_batch_per_epoch``, cannot be copied: it
    looks for what it lacks in a dataset that its copy does not have yet.
    """

    def __init__(self, limited: _SlicedDataset) -> None:
        self.dataset = limited._dataset
        self.length = min(len(limited), len(self.dataset))

    def __getitem__(self, index: int) -> dict:
        return self.dataset[index]

    def __len__(self) -> int:
        return self.length


def first_pass_loader(
    dataloader: DataLoader,
    pipeline: Optional[List[dict]],
    max_samples_per_class: Optional[int],
    seed: int,
) -> DataLoader:
    """Return a loader that goes over the training set once, in order.

    Args:
        dataloader (DataLoader): The training loader.
        pipeline (List[dict], optional): Transforms to use instead of the
            training ones, also inside wrappers such as KFoldDataset.
        max_samples_per_class (int, optional): Keep that many samples of each
            class, chosen by ``seed``. It takes effect here only if the
            dataset knows its labels without loading images
            (``get_gt_labels``).
        seed (int): Seed of the choice and of the workers.

    Raises:
        TypeError: If a ``pipeline`` is given and the dataset has none.
    """
    dataset = _dataset_of(dataloader)
    if pipeline is not None:
        dataset = with_pipeline(dataset, Compose(pipeline))
    given = dataloader.dataset
    if max_samples_per_class is not None and hasattr(given, 'get_gt_labels'):
        labels = given.get_gt_labels()[: len(dataset)]
        dataset = Subset(
            dataset, capped_indices(labels, max_samples_per_class, seed)
        )
    return _loader_like(
        dataloader,
        dataset,
        dict(type='DefaultSampler', shuffle=False, round_up=False),
        seed,
    )


def sample_loader(
    dataloader: DataLoader,
    pipeline: Optional[List[dict]],
    max_images: int,
    seed: int,
) -> DataLoader:
    """Return a loader of some training images, the same on any process.

    Args:
        dataloader (DataLoader): The training loader.
        pipeline (List[dict], optional): See :func:`first_pass_loader`.
        max_images (int): The number of images, chosen by ``seed``.
        seed (int): Seed of the choice and of the workers.

    Raises:
        TypeError: If a ``pipeline`` is given and the dataset has none.
    """
    dataset = _dataset_of(dataloader)
    if pipeline is not None:
        dataset = with_pipeline(dataset, Compose(pipeline))
    chosen = np.random.default_rng(seed).permutation(len(dataset))
    dataset = Subset(dataset, sorted(chosen[:max_images].tolist()))
    return _loader_like(dataloader, dataset, SequentialSampler(dataset), seed)


def _dataset_of(dataloader: DataLoader) -> Dataset:
    """Return the dataset of a loader in a form that can be copied."""
    dataset = dataloader.dataset
    if isinstance(dataset, _SlicedDataset):
        return _FirstSamples(dataset)
    return dataset


def _loader_like(
    dataloader: DataLoader,
    dataset: Dataset,
    sampler: Union[dict, Sampler],
    seed: int,
) -> DataLoader:
    return ignore_signals_in_workers(
        Runner.build_dataloader(
            dict(
                dataset=dataset,
                batch_size=batch_size_of(dataloader),
                num_workers=dataloader.num_workers,
                collate_fn=dataloader.collate_fn,
                sampler=sampler,
            ),
            seed=seed,
        )
    )


def batch_size_of(dataloader: DataLoader) -> int:
    """Return the number of images of a batch on one process."""
    if dataloader.batch_size is not None:
        return dataloader.batch_size
    return dataloader.batch_sampler.batch_size


def with_pipeline(dataset, pipeline: Compose):
    """Return a shallow copy of a dataset, or wrapper, with other transforms.

    Raises:
        TypeError: If the dataset has no pipeline.
    """
    dataset = copy.copy(dataset)
    if hasattr(dataset, 'dataset'):
        dataset.dataset = with_pipeline(dataset.dataset, pipeline)
    elif hasattr(dataset, 'pipeline'):
        watched = isinstance(dataset.pipeline, CheckedPipeline)
        dataset.pipeline = (
            CheckedPipeline(pipeline, dataset.pipeline.replace)
            if watched
            else pipeline
        )
    else:
        raise TypeError(
            'a hook with `pipeline=...` needs a dataset with a pipeline, '
            f'but got {type(dataset).__name__}; leave `pipeline` out to use '
            'the training one'
        )
    return dataset


def capped_indices(labels: Sequence[int], limit: int, seed: int) -> List[int]:
    """Return indices of at most ``limit`` samples of each class, in order."""
    labels = np.asarray(labels)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    chosen = [
        shuffled[labels[shuffled] == k][:limit] for k in np.unique(labels)
    ]
    return sorted(int(i) for i in np.concatenate(chosen))


@torch.no_grad()
def observe_training_set(
    model: nn.Module,
    loader: DataLoader,
    labels_of: Callable[[int, Sequence], List[int]],
    max_samples_per_class: Optional[int] = None,
    stop: Optional[StopRequest] = None,
) -> None:
    """Feed the un-prompted feature of each sample to the guidance.

    Args:
        model (nn.Module): A guided model.
        loader (DataLoader): Over the training set.
        labels_of (Callable[[int, Sequence], List[int]]): Gives the labels of
            the data samples of the batch with that number, -1 for none.
        max_samples_per_class (int, optional): Stop counting a class at that
            many samples, shared evenly between processes, and stop early
            once every class has them.
        stop (StopRequest, optional): End after the batch in which this
            process got a signal. Defaults to None.

    Raises:
        ValueError: If an image gives a feature that is not finite.
    """
    guidance = model.guidance
    quota = np.full(guidance.num_classes, np.inf)
    if max_samples_per_class is not None:
        quota[:] = math.ceil(max_samples_per_class / get_world_size())
        quota[list(guidance.excluded)] = 0
    bar = ProgressBar(len(loader)) if is_main_process() else None
    was_training = model.training
    model.eval()
    for number, batch in enumerate(loader):
        drawn = labels_of(number, batch['data_samples'])
        # As in training, so that crops are padded to one size.
        data = model.data_preprocessor(batch, training=True)
        features, labels = model.unprompted_samples(
            data['inputs'], data['data_samples'], drawn
        )
        kept = labels.tolist()
        for i, label in enumerate(kept):
            if label >= 0 and quota[label] <= 0:
                kept[i] = -1
            elif label >= 0:
                quota[label] -= 1
        guidance.observe(features, labels.new_tensor(kept))
        if bar is not None:
            bar.update()
        if not (quota > 0).any() or (stop is not None and stop.signal):
            break
    model.train(was_training)
