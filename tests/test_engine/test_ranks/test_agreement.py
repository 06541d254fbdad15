"""The hash by which processes compare their mappings."""

import numpy as np
import pytest
import torch
from torch import nn

from mmdavpt.engine.ranks.agreement import (
    PIECES,
    PRIME,
    checksum,
    is_agreed,
    signature,
    weights_checksum,
)


@pytest.mark.parametrize('world_size', [1, 2, 3, 64])
def test_equal_mappings_agree(world_size):
    mapping = torch.randint(-1, 200, (10_000,))
    assert is_agreed(signature(mapping) * world_size, world_size)


def test_every_change_of_one_class_is_seen():
    generator = torch.Generator().manual_seed(0)
    mapping = torch.randint(-1, 5, (40,), generator=generator)
    own = signature(mapping)
    for k in range(40):
        for prompt in set(range(-1, 5)) - {int(mapping[k])}:
            other = mapping.clone()
            other[k] = prompt
            # It stands out among many processes too.
            assert not is_agreed(63 * own + signature(other), 64)


def test_rearrangements_are_seen():
    """What keeps sums, or sums of places, would pass a weaker hash."""
    rng = np.random.default_rng(0)
    mapping = torch.arange(200) % 7
    own = signature(mapping)
    for _ in range(300):
        other = mapping[torch.as_tensor(rng.permutation(200))]
        assert not is_agreed(own + signature(other), 2)
    # Differences 1, -1, -1, 1 at places of equal distance.
    a, b = torch.tensor([1, 0, 0, 1]), torch.tensor([0, 1, 1, 0])
    assert not is_agreed(signature(a) + signature(b), 2)


def test_the_largest_numbers_do_not_overflow():
    """1,000,000 processes; and 50,000 classes on 1,000,000 prompts."""
    worst = torch.tensor([PRIME - 1] * PIECES + [(PRIME - 1) ** 2] * PIECES)
    assert is_agreed(worst * 1_000_000, 1_000_000)
    pieces = signature(torch.full((50_000,), 2**20 - 1))[:PIECES]
    assert ((pieces >= 0) & (pieces < PRIME)).all()


@pytest.mark.parametrize(
    'kind', ['float64', 'float32', 'float16', 'bfloat16', 'int64', 'bool']
)
def test_checksum_sees_the_last_bit_and_no_order(kind):
    dtype = getattr(torch, kind)
    values = torch.linspace(0, 3, 64).reshape(8, 8).to(dtype)
    assert isinstance(checksum(values), int)
    assert checksum(values) == checksum(values.t())
    assert checksum(values) == checksum(values.flip(0))
    other = values.clone()
    other[3, 4] = (
        not bool(other[3, 4])
        if kind == 'bool'
        else other[3, 4] + 1
        if kind == 'int64'
        else torch.nextafter(other[3, 4], torch.tensor(9.0, dtype=dtype))
    )
    assert checksum(values) != checksum(other)


def test_checksum_of_no_numbers():
    assert checksum(torch.zeros(0)) == 0
    assert checksum(torch.tensor(0.0)) == 0


def test_exchanged_weights_have_another_checksum():
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    assert weights_checksum(nn.Sequential(one, other)) != weights_checksum(
        nn.Sequential(other, one)
    )
