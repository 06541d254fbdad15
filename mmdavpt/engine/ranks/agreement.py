"""Checks that all processes hold the same.

Buffers do not travel with the gradients: what is to be the same everywhere is
so because every process does the same, or because one sends it to all. These
checks cost a few numbers, most of them in a message that is sent anyway.
"""

from typing import Dict, List

import torch
from mmengine.dist import (
    all_gather_object,
    all_reduce,
    get_world_size,
)
from torch import Tensor, nn

from mmdavpt.errors import UsageError


def gather_new(items: List[str]) -> List[str]:
    """Return what any process has: the same on all, without repetitions.

    Args:
        items (List[str]): What this process has, mostly nothing: one number
            is summed, and more is sent only if it is not 0.

    Returns:
        List[str]: In the order of the ranks.
    """
    everyones = [items]
    if get_world_size() > 1:
        number = torch.tensor(len(items))
        all_reduce(number)
        everyones = all_gather_object(items) if number else []
    return list(dict.fromkeys(item for own in everyones for item in own))


def checksum(tensor: Tensor) -> int:
    """Return the sum of a tensor's bits, read as integers.

    It is exact, and so the same on all devices, whatever the order.
    """
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = tensor.detach().contiguous().view(kind[tensor.element_size()])
    return bits.sum(dtype=torch.int64).item()


def check_same_on_all_ranks(
    facts: Dict[str, object], advice: Dict[str, str]
) -> None:
    """Check that all processes hold the same facts.

    Args:
        facts (Dict[str, object]): By name, such as 'the iteration'.
        advice (Dict[str, str]): What to do about each that may differ.

    Raises:
        UsageError: On all processes, naming the first fact that differs.
    """
    if get_world_size() == 1:
        return
    everyones = all_gather_object(facts)
    for name, here in everyones[0].items():
        for rank, others in enumerate(everyones):
            if others[name] != here:
                raise UsageError(
                    f'{name} should be the same on all processes, but rank 0 '
                    f'has {here} and rank {rank} has {others[name]}; '
                    f'{advice[name]}'
                )


def weights_checksum(model: nn.Module) -> int:
    """Return a number that differs if a weight differs.

    Running statistics of normalisation are left out: each process has its
    own where they are not synchronised.

    Args:
        model (nn.Module): The model.
    """
    return sum(
        # By place, so that exchanged weights count too.
        (i + 1) * checksum(parameter)
        for i, parameter in enumerate(model.parameters())
    )
