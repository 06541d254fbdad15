"""Loaders of training images for passes before training."""

from typing import Any

import numpy as np
from mmengine.runner import Runner
from mmengine.runner.runner import _SlicedDataset
from torch.utils.data import DataLoader, SequentialSampler, Subset


def first_pass_loader(
    dataloader: DataLoader, seed: int = 0, shuffle: bool = False
) -> DataLoader:
    """Return a loader that reads the training set once.

    Args:
        dataloader (DataLoader): The training loader.
        seed (int): Seed of the workers and the order. Defaults to 0.
        shuffle (bool): Whether the order is random. Defaults to False.
    """
    sampler = dict(type='DefaultSampler', shuffle=shuffle, round_up=False)
    return _loader_like(dataloader, training_images(dataloader), sampler, seed)


def sample_loader(loader: DataLoader, most: int, seed: int) -> DataLoader:
    """Return a loader of some training images, the same on every rank.

    Args:
        loader (DataLoader): The training loader.
        most (int): The number of images, chosen by ``seed``.
        seed (int): Seed of the choice and of the workers.
    """
    dataset = training_images(loader)
    chosen = np.random.default_rng(seed).permutation(len(dataset))
    dataset = Subset(dataset, sorted(chosen[:most].tolist()))
    return _loader_like(loader, dataset, SequentialSampler(dataset), seed)


def batch_size_of(dataloader: DataLoader) -> int:
    """Return the number of images of a batch on one rank."""
    sampler: Any = dataloader.batch_sampler
    return dataloader.batch_size or sampler.batch_size


def training_images(dataloader: DataLoader) -> Subset:
    """Return the images of a loader that exist.

    mmengine's wrapper for ``num_batch_per_epoch`` may be longer than its
    dataset.
    """
    dataset: Any = dataloader.dataset
    length = len(dataset)
    if isinstance(dataset, _SlicedDataset):
        dataset = dataset._dataset
    return Subset(dataset, range(min(length, len(dataset))))


def _loader_like(
    loader: DataLoader, dataset: Subset, sampler: Any, seed: int
) -> DataLoader:
    """Return a loader of a dataset with the settings of another loader."""
    return Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=batch_size_of(loader),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            sampler=sampler,
        ),
        seed=seed,
    )
