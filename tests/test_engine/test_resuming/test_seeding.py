"""Random numbers depend only on seed, epoch and position."""

import pickle
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.runner import Runner
from torch.utils.data import Dataset, Subset

from mmdavpt.engine.resuming import exact_loop, seeding
from mmdavpt.engine.resuming.exact_loop import ExactLoop
from mmdavpt.engine.resuming.seeding import (
    SeededBatchSampler,
    seed_generators,
    with_seeded_batches,
)


class Draws(Dataset):
    """Samples that are an index and a number of each generator."""

    def __init__(self, length=10):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        assert type(index) is int
        return (
            index,
            random.random(),
            np.random.rand(),
            torch.rand(1).item(),
        )


def loader(dataset=None, seed=3, sampler='DefaultSampler', **kwargs):
    cfg = dict(
        dataset=Draws() if dataset is None else dataset,
        batch_size=4,
        sampler=dict(type=sampler, shuffle=True),
        collate_fn=dict(type=list),
        **kwargs,
    )
    return Runner.build_dataloader(with_seeded_batches(cfg, seed), seed=seed)


def passes(loader, number=2, skip=0):
    """Return the samples of some passes, as an epoch-based loop sees them."""
    samples = []
    for epoch in range(number):
        loader.batch_sampler.go_to(epoch, skip)
        samples.append([sample for batch in loader for sample in batch])
    return samples


def test_workers_and_main_process_draw_the_same():
    expected = passes(loader(num_workers=0))
    drawn = [number for epoch in expected for s in epoch for number in s[1:]]
    # No number is drawn twice: not in another epoch, place or generator.
    assert len(set(drawn)) == 2 * 10 * 3
    first, second = ([s[0] for s in epoch] for epoch in expected)
    assert first != second and sorted(first) == sorted(second)
    assert passes(loader(num_workers=2)) == expected
    persistent = loader(num_workers=2, persistent_workers=True)
    assert passes(persistent) == expected
    assert passes(loader(seed=4))[0] != expected[0]


def test_pass_continues_at_its_next_batch():
    expected = passes(loader(), number=1)[0]
    for skip in range(3):
        assert passes(loader(), 1, skip)[0] == expected[4 * skip :]
    assert passes(loader(), 1, skip=3) == [[]]


def test_skipping_more_than_one_pass():
    expected = sum(passes(loader(), number=3), [])
    late = loader()
    late.batch_sampler.go_to(0, skip=7)  # of three batches each
    assert [s for batch in late for s in batch] == expected[24:]
    assert late.batch_sampler.epoch == 2


def test_endless_sampler_continues_at_any_batch():
    def first(number, skip):
        endless = loader(sampler='InfiniteSampler')
        endless.batch_sampler.go_to(0, skip)
        batches = iter(endless)
        return [sample for _ in range(number) for sample in next(batches)]

    assert first(9, skip=0)[4 * 6 :] == first(3, skip=6)


@pytest.mark.parametrize('sampler', [DefaultSampler, InfiniteSampler])
def test_two_processes_share_the_samples_of_one(monkeypatch, sampler):
    def seeds(rank, world_size, batch_size):
        for module in (
            seeding,
            pytest.importorskip('mmengine.dataset.sampler'),
        ):
            monkeypatch.setattr(
                module, 'get_dist_info', lambda: (rank, world_size)
            )
        batches = iter(
            SeededBatchSampler(sampler(Draws(12), seed=3), batch_size, seed=3)
        )
        batch = [next(batches) for _ in range(3)][2]
        return set(zip(batch.indices, batch.places, strict=True))

    assert seeds(0, 2, 2) | seeds(1, 2, 2) == seeds(0, 1, 4)


def test_pickling_a_batch_draws_nothing():
    batch = next(iter(loader().batch_sampler))
    seed_generators(1, 2)
    state = random.getstate(), torch.get_rng_state()
    again = pickle.loads(pickle.dumps(batch))
    assert len(batch) == 4
    assert random.getstate() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])
    assert list(again) == batch.indices


def test_wrapped_datasets_and_other_batch_samplers_are_seeded():
    expected = passes(loader())
    assert passes(loader(Subset(Draws(), range(10)))) == expected
    inner = dict(type=torch.utils.data.BatchSampler, drop_last=True)
    assert [len(s) for s in passes(loader(batch_sampler=inner))] == [8, 8]
    assert [len(s) for s in passes(loader(drop_last=True))] == [8, 8]


def test_reseeding_keeps_the_own_seed_of_a_sampler():
    changed, own = loader(), loader()
    changed.batch_sampler.reseed(4)
    assert passes(changed) == passes(loader(seed=4))
    own.batch_sampler.sampler.seed = 9
    order = [s[0] for s in passes(own, 1)[0]]
    own.batch_sampler.reseed(4)
    assert [s[0] for s in passes(own, 1)[0]] == order


def test_skipping_in_an_empty_dataset_ends():
    batches = SeededBatchSampler([], 4, seed=3)
    batches.go_to(0, skip=2)
    assert list(batches) == []


def test_samples_do_not_seed_accelerators(monkeypatch):
    batch = next(iter(loader().batch_sampler))
    expected = []
    for _ in batch:
        expected.append(torch.rand(1).item())
    monkeypatch.delattr(torch, 'manual_seed')
    assert [torch.rand(1).item() for _ in batch] == expected


def test_seed_of_run_is_the_same_on_all_ranks(monkeypatch):
    monkeypatch.setattr(seeding, 'get_rank', lambda: 2)
    for options, seed in ((dict(diff_rank_seed=True), 5), ({}, 7)):
        runner = SimpleNamespace(seed=7, _randomness_cfg=options)
        assert seeding.seed_of_run(runner) == seed


def test_each_step_of_each_rank_has_its_own_draws(monkeypatch):
    """Else all ranks would drop the same paths and mix the same images."""
    run = SimpleNamespace(seed=7, _randomness_cfg={})

    def draw(rank=0, iteration=0, kind=seeding.STEP):
        monkeypatch.setattr(exact_loop, 'get_rank', lambda: rank)
        loop = SimpleNamespace(runner=run, _iter=iteration)
        ExactLoop._seed(loop, kind)
        return torch.rand(1).item()

    assert draw() == draw()
    assert len({draw(), draw(1), draw(0, 1), draw(0, 0, 2)}) == 4
