"""Checksums of weights."""

import pytest
import torch
from torch import nn

from mmdavpt.engine.hooks.agreement_hook import weights_checksum


def checksum(values):
    return weights_checksum(
        nn.ParameterList([nn.Parameter(values, requires_grad=False)])
    )


@pytest.mark.parametrize(
    'kind', ['float64', 'float32', 'float16', 'bfloat16', 'int64', 'bool']
)
def test_checksum_depends_on_bits_not_on_order(kind):
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


def test_checksum_of_empty_and_scalar_tensors():
    assert checksum(torch.zeros(0)) == 0
    assert checksum(torch.tensor(0.0)) == 0


def test_exchanged_weights_change_the_checksum():
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    assert weights_checksum(nn.Sequential(one, other)) != weights_checksum(
        nn.Sequential(other, one)
    )
