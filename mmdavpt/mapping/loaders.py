"""Loaders of training images for passes before training."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dataset import Compose
from mmengine.runner import Runner
from mmengine.runner.runner import _SlicedDataset
from torch.utils.data import (
    DataLoader,
    Dataset,
    Sampler,
    SequentialSampler,
    Subset,
)


class CappedSubset(Subset):
    """A subset with a limited number of samples of each class."""


def sample_loader(
    dataloader: DataLoader, max_images: int, seed: int
) -> DataLoader:
    """Return a loader of some training images, the same on every rank.

    Args:
        dataloader (DataLoader): The training loader.
        max_images (int): The number of images, chosen by ``seed``.
        seed (int): Seed of the choice and of the workers.
    """
    dataset = base_dataset(dataloader.dataset)
    chosen = np.random.default_rng(seed).permutation(len(dataset))
    dataset = Subset(dataset, sorted(chosen[:max_images].tolist()))
    return loader_like(dataloader, dataset, SequentialSampler(dataset), seed)


def loader_like(
    dataloader: DataLoader,
    dataset: Dataset,
    sampler: dict | Sampler,
    seed: int,
) -> DataLoader:
    """Return a loader of another dataset with the settings of a loader."""
    return Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=batch_size_of(dataloader),
            num_workers=dataloader.num_workers,
            collate_fn=dataloader.collate_fn,
            sampler=sampler,
        ),
        seed=seed,
    )


def batch_size_of(dataloader: DataLoader) -> int:
    """Return the number of images of a batch on one rank."""
    if dataloader.batch_size is not None:
        return dataloader.batch_size
    return dataloader.batch_sampler.batch_size


def base_dataset(dataset: Dataset) -> Dataset:
    """Return the dataset of a loader in a form that can be copied."""
    if not isinstance(dataset, _SlicedDataset):
        return dataset
    # mmengine's wrapper of `num_batch_per_epoch` cannot be copied: it looks
    # up missing attributes in a dataset that its copy does not have yet.
    length = min(len(dataset), len(dataset._dataset))
    return Subset(dataset._dataset, range(length))


def with_pipeline(dataset: Any, transforms: list[dict]) -> Any:
    """Return a shallow copy of a dataset, or wrapper, with other transforms.

    Args:
        dataset (Dataset): Not changed.
        transforms (list[dict]): Their configs.

    Raises:
        TypeError: If the dataset has no pipeline.
    """
    dataset = copy.copy(dataset)
    if hasattr(dataset, 'dataset'):
        dataset.dataset = with_pipeline(dataset.dataset, transforms)
    elif isinstance(getattr(dataset, 'pipeline', None), Compose):
        # A copy keeps additions of a subclass, such as checks of files.
        dataset.pipeline = copy.copy(dataset.pipeline)
        dataset.pipeline.transforms = Compose(transforms).transforms
    else:
        raise TypeError(
            '`pipeline` of a hook needs a dataset with an mmengine pipeline, '
            f'but got {type(dataset).__name__}; remove `pipeline` to use that '
            'of training'
        )
    return dataset


def capped_indices(labels: Sequence[int], limit: int, seed: int) -> list[int]:
    """Return indices of at most ``limit`` samples of each class, in order."""
    labels = np.asarray(labels)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    chosen = [
        shuffled[labels[shuffled] == k][:limit] for k in np.unique(labels)
    ]
    return sorted(int(i) for i in np.concatenate(chosen))
