"""Class statistics of one pass over the training set."""

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
from mmengine.dist import get_world_size
from torch import Tensor
from torch.utils.data import DataLoader

from mmdavpt.progress import track

from .class_means import accumulate
from .loaders import (
    CappedSubset,
    base_dataset,
    capped_indices,
    loader_like,
    with_pipeline,
)


def first_pass_loader(
    dataloader: DataLoader,
    pipeline: list[dict] | None = None,
    max_samples_per_class: int | None = None,
    seed: int = 0,
) -> DataLoader:
    """Return a loader that reads the training set once, in order.

    Args:
        dataloader (DataLoader): The training loader.
        pipeline (list[dict], optional): Transforms to use instead of the
            training ones, also inside wrappers such as KFoldDataset.
        max_samples_per_class (int, optional): Keep at most that many samples
            of each class, chosen by ``seed``, if the dataset knows its labels
            without loading images (``get_gt_labels``).
        seed (int): Seed of the choice and of the workers.

    Raises:
        TypeError: If a ``pipeline`` is given and the dataset has none.
    """
    given = dataloader.dataset
    dataset = base_dataset(given)
    if pipeline is not None:
        dataset = with_pipeline(dataset, pipeline)
    if max_samples_per_class is not None and hasattr(given, 'get_gt_labels'):
        labels = given.get_gt_labels()[: len(dataset)]
        dataset = CappedSubset(
            dataset, capped_indices(labels, max_samples_per_class, seed)
        )
    sampler = dict(type='DefaultSampler', shuffle=False, round_up=False)
    return loader_like(dataloader, dataset, sampler, seed)


def observe_batches(
    loader: Iterable,
    read: Callable[[int, Any], tuple[Tensor, Tensor]],
    sums: Tensor,
    counts: Tensor,
    max_samples_per_class: int | None = None,
    excluded: Collection[int] = (),
    stopped: Callable[[], object] = lambda: False,
) -> None:
    """Add the features of a pass to the sums of their classes, in place.

    Args:
        loader (Iterable): Batches of the training set, with a length.
        read (Callable): Returns features, shape (M, C), and classes, int64,
            shape (M, ), -1 for none, of a batch, given its number and itself.
        sums (Tensor): Sum of features per class, shape (K, C).
        counts (Tensor): Number of samples per class, int64, shape (K, ).
        max_samples_per_class (int, optional): Ignore further samples of a
            class that has this many, shared evenly between ranks, and stop
            once every class has them. Defaults to None.
        excluded (Collection[int]): Classes without guidance, for which this
            does not wait. Defaults to ().
        stopped (Callable[[], object]): Called after each batch; the pass ends
            if it returns true. Defaults to never.
    """
    quota = np.full(len(counts), np.inf)
    capped = isinstance(getattr(loader, 'dataset', None), CappedSubset)
    if max_samples_per_class is not None and not capped:
        quota[:] = math.ceil(max_samples_per_class / get_world_size())
        quota[list(excluded)] = 0
    for number, batch in enumerate(track(loader, 'first pass')):
        features, labels = read(number, batch)
        kept = labels.tolist()
        for i, label in enumerate(kept):
            if label >= 0 and quota[label] <= 0:
                kept[i] = -1
            elif label >= 0:
                quota[label] -= 1
        accumulate(sums, counts, features, labels.new_tensor(kept))
        if not (quota > 0).any() or stopped():
            break
