"""Random numbers that depend on what they are for, and on nothing before.

A checkpoint holds no states of generators, and it could not: workers load
images ahead of the training, each with its own. So nothing random is saved;
everything is derived, from the seed of the run and from the sample or the
iteration that the numbers are drawn for. A run that goes on from a checkpoint
then draws what it would have drawn anyway, with any number of workers.
"""

import copy
import random
from typing import Iterator, List, Optional

import numpy as np
import torch
from mmengine.dist import get_dist_info, get_rank
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, Sampler

#: What is drawn: the augmentation of a sample; DropPath, dropout and Mixup of
#: an iteration; whatever a validation draws.
SAMPLE, STEP, VALIDATION = range(3)


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


class SeededBatch:
    """The indices of a batch, which seed the generators one by one.

    PyTorch's fetcher goes over it in the process that loads the batch, and
    loads each sample before it asks for the next index. So no dataset needs
    to know of seeds, in whatever wrappers it is.

    Args:
        indices (List[int]): The indices of the samples.
        key (Tuple[int, ...]): What all samples of the pass have in common.
        places (List[int]): The place of each sample in the pass.
    """

    def __init__(self, indices: List[int], key: tuple, places: List[int]):
        self.indices = indices
        self.key = key
        self.places = places

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        for index, place in zip(self.indices, self.places, strict=True):
            # Samples are made on the CPU: leave a GPU alone.
            seed_generators(*self.key, place, devices=False)
            yield index


class SeededBatchSampler(Sampler):
    """Make batches whose samples have seeds, and start anywhere in a pass.

    The seed of a sample comes from the seed of the run, the epoch, and its
    place in the order over all processes. So it is the same in a worker and
    in the main process; and on one process and on several, if the order of
    the images is, as it is with the samplers of the host.

    Args:
        sampler (Sampler): Gives the indices of this process.
        batch_size (int): The number of samples of a batch.
        seed (int): Seed of the run, the same in all processes.
        drop_last (bool): Leave out a last batch that is not full. Defaults to
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
        inner: Optional[dict] = None,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.seed = seed
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0
        self.skip = 0
        self.batches = (
            BatchSampler(sampler, batch_size, drop_last)
            if inner is None
            else DATA_SAMPLERS.build(
                inner,
                default_args=dict(sampler=sampler, batch_size=batch_size),
            )
        )

    def reseed(self, seed: int) -> None:
        """Take another seed, also for the order of the images.

        A run without a seed in its config takes that of its checkpoint, when
        its loader is already there.

        Args:
            seed (int): The seed of the run.
        """
        # A sampler with a seed of its own in the config keeps it.
        if getattr(self.sampler, 'seed', None) == self.seed:
            self.sampler.seed = seed
        self.seed = seed

    def go_to(self, epoch: int, skip: int) -> None:
        """Start the next pass at some place, without loading what is before.

        Args:
            epoch (int): The number of the pass, which decides its order.
            skip (int): How many batches are done. More than a pass has are
                those of the passes that follow.
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
                yield SeededBatch(
                    indices,
                    (self.seed, SAMPLE, self.epoch),
                    [
                        place * self.world_size + self.rank
                        for place in range(first, done)
                    ],
                )
            if self.skip == 0 or done == 0:
                return
            self.go_to(self.epoch + 1, self.skip)

    def __len__(self) -> int:
        return len(self.batches)


def with_seeded_batches(dataloader: dict, seed: int) -> dict:
    """Return the config of a loader whose samples have seeds.

    Args:
        dataloader (dict): Config of a loader, as ``train_dataloader``.
        seed (int): Seed of the run, the same in all processes.
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
    """Return the seed of a run, the same on all processes.

    Args:
        runner (Runner): The runner, whose own seed may differ by its rank.
    """
    differ = runner._randomness_cfg.get('diff_rank_seed', False)
    return runner.seed - (get_rank() if differ else 0)
