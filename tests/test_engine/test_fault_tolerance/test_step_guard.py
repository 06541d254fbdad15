"""Skip optimizer steps, with and without gradient accumulation."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmdavpt.engine.fault_tolerance.step_guard import (
    StepGuard,
    non_finite_values,
)


def train(losses, counts):
    """Return the weight after each iteration; a loss is its gradient."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=counts
    )
    wrapper.initialize_count_status(model, 0, len(losses))
    StepGuard(wrapper)
    weights = []
    for loss in losses:
        wrapper.update_params(-loss * model.weight.sum())
        weights.append(model.weight.item())
    return weights


@pytest.mark.parametrize(
    'losses, weights',
    [
        ((1, 3, 5, 7), (0, 2, 2, 8)),
        # The first of two: the other one alone.
        ((torch.nan, 3, 5, 7), (0, 1.5, 1.5, 7.5)),
        # The last of two: none, and nothing stays for the next step.
        ((1, torch.nan, 5, 7), (0, 0, 0, 6)),
        # A last step of one iteration comes all the same.
        ((torch.inf, 3, 5), (0, 1.5, 6.5)),
        ((1, 3, torch.nan), (0, 2, 2)),
    ],
)
def test_skipping_keeps_the_rhythm_of_steps(losses, weights):
    assert train(losses, counts=2) == list(weights)


def test_skipping_without_accumulation():
    assert train((1, torch.nan, 2), counts=1) == [1, 1, 3]


def test_non_finite_values_are_listed():
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1), nn.Linear(1, 1))
    model[0].requires_grad_(False)
    for values in (model[0].weight, model[1].running_mean, model[2].bias):
        values.data.fill_(torch.nan)
    state = model.state_dict()
    assert non_finite_values(model, state) == ['2.bias', '1.running_mean']
    # Values that are not saved do no harm.
    del state['2.bias']
    assert non_finite_values(model, state) == ['1.running_mean']
