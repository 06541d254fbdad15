"""Prompts made of tokens, by hand and against loops."""

import numpy as np
import pytest
import torch

from mmdavpt.mapping.token_pools import POOLS, TokenPool


def pool(method, batches, num_prompts, **kwargs):
    made = TokenPool(method, **kwargs)
    for batch in batches:
        made.add(batch)
    return made.prompts(num_prompts)


def test_by_hand():
    """Two images of four tokens; the first prompt is of the first two."""
    one = torch.tensor([[[1.0, 0], [3, 0], [0, 2], [0, 8]]])
    two = torch.tensor([[[5.0, 4], [7, 4], [2, 0], [2, 2]]])
    assert pool('mean', [one, two], 2).tolist() == [[4, 2], [1, 3]]
    assert pool('max', [one, two], 2).tolist() == [[7, 4], [2, 8]]
    assert pool('mean', [one, two], 1).tolist() == [[2.5, 2.5]]


@pytest.mark.parametrize('method', POOLS)
@pytest.mark.parametrize('num_prompts', [1, 3, 10])
def test_batches_do_not_matter(method, num_prompts):
    x = torch.randn(6, 10, 5, generator=torch.manual_seed(0))
    whole = pool(method, [x], num_prompts)
    parts = pool(method, [x[:1], x[1:4], x[4:]], num_prompts)
    assert whole.shape == (num_prompts, 5)
    torch.testing.assert_close(whole, parts)


def test_means_of_random_runs():
    x = torch.randn(4, 7, 3, dtype=torch.float64)
    made = pool('mean', [x], 3)
    for p in range(3):  # adaptive pooling: places 7 p / 3 to 7 (p + 1) / 3
        first, last = 7 * p // 3, -(-7 * (p + 1) // 3)
        expected = x[:, first:last].mean(dim=(0, 1))
        torch.testing.assert_close(
            made[p].double(), expected, atol=1e-6, rtol=0
        )


@pytest.mark.parametrize('sample_size', [8, 10_000])
def test_random_prompts_are_different_tokens_of_the_images(sample_size):
    x = torch.arange(60.0).view(5, 12, 1)
    made = pool('random', x.split(2), 8, sample_size=sample_size, seed=3)
    values = made.flatten().tolist()
    assert len(set(values)) == 8 and set(values) <= set(range(60))
    other = pool('random', x.split(2), 8, sample_size=sample_size, seed=4)
    assert other.flatten().tolist() != values
    # What is drawn does not depend on how many others are kept.
    assert torch.equal(made, pool('random', x.split(2), 8, seed=3))


def test_random_sample_is_uniform():
    counts = np.zeros(20)
    for seed in range(400):
        x = torch.arange(20.0).view(4, 5, 1)
        made = pool('random', x.split(1), 5, sample_size=5, seed=seed)
        counts[made.flatten().long().numpy()] += 1
    # 100 draws are expected of each; the deviation of one is 8.7.
    assert np.abs(counts - 100).max() < 35


def test_kmeans_finds_the_clusters():
    centers = torch.tensor([[0.0, 9], [9, 0], [-9, -9]])
    noise = torch.randn(3, 40, 2, generator=torch.manual_seed(0)) * 0.1
    x = (centers[:, None] + noise).view(6, 20, 2)
    made = pool('kmeans', x.split(2), 3)
    distance = torch.cdist(made, centers).min(dim=0)
    assert distance.values.max() < 0.1
    assert sorted(distance.indices.tolist()) == [0, 1, 2]


def test_memory_is_bounded():
    made = TokenPool('kmeans', sample_size=50)
    for _ in range(5):
        made.add(torch.randn(4, 30, 3))
    assert made._kept.shape == (50, 3)


def test_mistakes():
    with pytest.raises(ValueError, match="one of .*, but got 'median'"):
        TokenPool('median')
    with pytest.raises(
        ValueError, match='9 prompts need at least as many tokens'
    ):
        pool('random', [torch.randn(1, 4, 2)], 9)
    with pytest.raises(ValueError, match="use 'kmeans' or"):
        pool('mean', [torch.randn(1, 4, 2)], 5)
