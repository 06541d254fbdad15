"""Seed each random draw by its purpose, so that runs resume exactly.

A checkpoint cannot hold the states of all generators: workers load images
ahead of the training, each with its own. So nothing random is saved. Each
draw depends only on the seed of the run and on the sample or iteration it is
for. A resumed run then draws the same numbers, with any number of workers.
"""

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.dist import get_dist_info, get_rank
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, Sampler

#: Kinds of draws: the augmentation of a sample; DropPath, dropout and Mixup
#: of an iteration; whatever a validation draws; the augmentation of a view.
SAMPLE, STEP, VALIDATION, VIEW = range(4)


def seed_generators(*key: int, devices: bool = True) -> None:
    """Seed Python's, NumPy's and PyTorch's generators from some numbers.

    Args:
        *key (int): At least 0 each; any difference gives unrelated streams.
        devices (bool): Also seed the generators of accelerators. Defaults to
            True.
    """
    words = np.random.SeedSequence(key).generate_state(6)
    random.seed(int(words[0]) << 32 | int(words[1]))
    np.random.seed(words[2:4])
    seed = int(words[4]) << 32 | int(words[5])
    if devices:
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@dataclass
class SeededBatch:
    """The indices of a batch; iterating seeds the generators for each sample.

    PyTorch's fetcher iterates in the process that loads the batch, and loads
    each sample before it takes the next index. So datasets and their wrappers
    need no code for seeds.

    Args:
        indices (list[int]): Indices of the samples.
        key (tuple[int, ...]): Key that all samples of the pass share.
        places (Sequence[int]): Place of each sample in the pass.
    """

    indices: list[int]
    key: tuple[int, ...]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        for index, place in zip(self.indices, self.places, strict=True):
            # Samples are loaded on the CPU: leave accelerators alone.
            seed_generators(*self.key, place, devices=False)
            yield index


class SeededBatchSampler(Sampler):
    """Yield seeded batches, starting anywhere in a pass over the data.

    The seed of a sample comes from the seed of the run, the epoch, and its
    place in the order over all processes. So it is the same in a worker and
    in the main process; and on one process and on several if the order of the
    images is, as with mmengine's samplers.

    Args:
        sampler (Sampler): Yields the indices of this process.
        batch_size (int): Samples per batch.
        seed (int): Seed of the run, the same on all ranks.
        drop_last (bool): Drop a last batch that is not full. Defaults to
            False.
        inner (dict, optional): Config of a batch sampler to use instead of
            PyTorch's. Defaults to None.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        seed: int,
        drop_last: bool = False,
        inner: dict | None = None,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.seed = seed
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0
        self.skip = 0
        self.batches = BatchSampler(sampler, batch_size, drop_last)
        if inner is not None:
            given = dict(sampler=sampler, batch_size=batch_size)
            self.batches = DATA_SAMPLERS.build(inner, default_args=given)

    def reseed(self, seed: int) -> None:
        """Use another seed, also for the order of the images.

        A run without a seed in its config takes that of its checkpoint, after
        its loader was built.

        Args:
            seed (int): The seed of the run.
        """
        # A sampler with its own seed in the config keeps it.
        if getattr(self.sampler, 'seed', None) == self.seed:
            self.sampler.seed = seed
        self.seed = seed

    def go_to(self, epoch: int, skip: int) -> None:
        """Start the next pass at some batch, without loading those before.

        Args:
            epoch (int): The number of the pass, which decides its order.
            skip (int): How many batches to skip. If a pass has fewer, the
                passes that follow are skipped too.
        """
        self.epoch, self.skip = epoch, skip
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[SeededBatch]:
        while True:
            done = 0
            for indices in self.batches:
                first, done = done, done + len(indices)
                if self.skip > 0:
                    self.skip -= 1
                    continue
                size = self.world_size
                places = [i * size + self.rank for i in range(first, done)]
                key = (self.seed, SAMPLE, self.epoch)
                yield SeededBatch(indices, key, places)
            if self.skip == 0 or done == 0:
                return
            self.go_to(self.epoch + 1, self.skip)

    def __len__(self) -> int:
        return len(self.batches)


def with_seeded_batches(dataloader: dict, seed: int) -> dict:
    """Return the config of a loader with seeded samples.

    Args:
        dataloader (dict): Config of a loader, such as ``train_dataloader``.
        seed (int): Seed of the run, the same on all ranks.
    """
    dataloader = copy.deepcopy(dataloader)
    dataloader['batch_sampler'] = dict(
        type=SeededBatchSampler,
        seed=seed,
        drop_last=dataloader.pop('drop_last', False),
        inner=dataloader.get('batch_sampler'),
    )
    return dataloader


def seed_of_run(runner: Runner) -> int:
    """Return the seed of a run, the same on all ranks.

    Args:
        runner (Runner): The runner, whose own seed may depend on its rank.
    """
    differ = runner._randomness_cfg.get('diff_rank_seed', False)
    return runner.seed - (get_rank() if differ else 0)
