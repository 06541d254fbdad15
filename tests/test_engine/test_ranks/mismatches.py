"""Mismatches between two processes; this code runs on both."""

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from torch import nn

from mmdavpt.engine.hooks import AgreementHook
from mmdavpt.errors import UsageError
from mmdavpt.mapping.agreement import check_same_mapping
from mmdavpt.ranks import run_on_rank_0

MAPPING = [0, 2, 1, -1, 1]
#: Mappings of rank 1 that are not that of rank 0.
OTHERS = {
    'one class': [0, 2, 1, 0, 1],
    'exchanged': [2, 0, 1, -1, 1],
    'shifted': [0, 2, 1, 1, -1],
}


def differing_mappings(rank):
    """Return the message for each pair of mappings, None if they agree."""
    check_same_mapping(torch.tensor(MAPPING))
    messages = {}
    for name, other in OTHERS.items():
        with pytest.raises(RuntimeError) as info:
            check_same_mapping(torch.tensor(other if rank else MAPPING))
        messages[name] = str(info.value)
    return messages


class Exotic(BaseException):
    """An error that cannot be sent to another process."""

    def __init__(self, one, two):
        super().__init__(one, two)


def errors_of_rank_0(rank):
    """Return the error that each rank gets from rank 0."""

    def fail(error):
        raise error

    results = {'result': run_on_rank_0(lambda: f'made by {rank}')}
    for error in (
        UsageError('a usage'),
        ValueError('a value'),
        KeyError('a key'),
        Exotic(1, 2),
        KeyboardInterrupt(),
    ):
        with pytest.raises(BaseException) as info:
            run_on_rank_0(lambda error=error: fail(error))
        kind = type(error).__name__
        results[kind] = (type(info.value).__name__, str(info.value))
    # Nobody is out of step after all of it.
    total = torch.tensor(1)
    dist.all_reduce(total)
    results['together'] = int(total)
    return results


class FakeRunner:
    """As much of a runner as is compared before a training."""

    def __init__(self, weight=1.0, iteration=3, batches=4, seed=0):
        self.model = nn.Linear(2, 2)
        for parameter in self.model.parameters():
            nn.init.constant_(parameter, weight)
        self.iter = iteration
        self.train_dataloader = [None] * batches
        self.cfg = Config(dict(seed=seed))


def starts(rank):
    """Return the message for each value that differs at the start."""
    AgreementHook().before_train(FakeRunner())
    results = {}
    for name, here in (
        ('weight', 1 + 2**-23),
        ('iteration', 0),
        ('batches', 5),
        ('seed', 1),
    ):
        with pytest.raises(UsageError) as info:
            AgreementHook().before_train(
                FakeRunner(**({name: here} if rank else {}))
            )
        results[name] = str(info.value)
    return results


def statistics_after_validation(rank):
    """Return the running statistics that are evaluated on this rank."""
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Linear(2, 2))
    model[0].running_mean.fill_(rank + 1)
    model[0].num_batches_tracked.fill_(rank + 7)
    runner = FakeRunner()
    runner.model = model
    AgreementHook().before_val_epoch(runner)
    return model[0].running_mean, model[0].num_batches_tracked


def run_all(rank):
    """Return the results of all of these."""
    return dict(
        mappings=differing_mappings(rank),
        errors=errors_of_rank_0(rank),
        starts=starts(rank),
        statistics=statistics_after_validation(rank),
    )
