"""Warm-up and cosine of runs of any length."""

import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS

from mmdavpt.engine.schedules import warm_up_cosine


def rates(total, warm_up=0.1):
    return [warm_up_cosine(step, total, warm_up) for step in range(total)]


@pytest.mark.parametrize('total', [1, 2, 3, 10, 1000])
def test_rate_rises_for_a_tenth_and_falls_until_the_end(total):
    found = rates(total)
    rising = max(1, total // 10)
    assert all(0 < rate <= 1 for rate in found)
    assert found[:rising] == sorted(found[:rising])
    assert found[rising:] == sorted(found[rising:], reverse=True)
    assert max(found) == (1 if total > 1 else 0.5)
    assert found[-1] < 0.1 or total < 10


def test_no_warm_up():
    assert rates(4, 0) == pytest.approx([1, 0.853553391, 0.5, 0.146446609])


@pytest.mark.parametrize('epochs, batches', [(1, 1), (1, 7), (5, 3)])
def test_epochs_become_iterations(epochs, batches):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=2.0)
    schedule = PARAM_SCHEDULERS.build(
        dict(
            type='mmdavpt.WarmUpCosineLR',
            by_epoch=True,
            end=epochs,
            convert_to_iter_based=True,
        ),
        default_args=dict(optimizer=optimizer, epoch_length=batches),
    )
    found = []
    for _ in range(epochs * batches):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()
    assert found == [2 * rate for rate in rates(epochs * batches)]
