"""Checks that all processes hold the same.

Buffers do not travel with the gradients: what is to be the same everywhere is
so because every process does the same, or because one sends it to all. These
checks cost a few numbers, most of them in a message that is sent anyway.
"""

from functools import lru_cache
from typing import Dict, List

import torch
from mmengine.dist import (
    all_gather_object,
    all_reduce,
    get_world_size,
)
from torch import Tensor, nn

from mmdavpt.errors import UsageError

#: The largest prime below 2 ** 20, so that the squares of remainders can be
#: summed in 64 bits over millions of processes.
PRIME = 1_048_573
PIECES = 3


@lru_cache(maxsize=8)
def _weights(num: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(num)
    weights = torch.randint(1, PRIME, (num, PIECES), generator=generator)
    return weights.to(device)


def signature(values: Tensor) -> Tensor:
    """Return a hash of integers in the form that a sum can compare.

    Two sequences that differ in one place have different hashes; otherwise
    they have the same with a probability of about 1e-18.

    Args:
        values (Tensor): int64, (K, ), each of a magnitude below 2 ** 20.

    Returns:
        Tensor: int64, (6, ): three remainders and their squares.
    """
    weights = _weights(len(values), values.device)
    pieces = (values[:, None] * weights).sum(0) % PRIME
    return torch.cat([pieces, pieces**2])


def is_agreed(total: Tensor, world_size: int) -> bool:
    """Return whether signatures that were summed up were all the same.

    By Cauchy and Schwarz, the square of a sum of ``world_size`` numbers is
    ``world_size`` times the sum of their squares only if all are equal. Every
    process has the same sum, so all come to the same answer.

    Args:
        total (Tensor): The sum of the signatures, int64, (6, ).
        world_size (int): The number of processes.
    """
    sums, squares = total.tolist()[:PIECES], total.tolist()[PIECES:]
    return all(
        world_size * square == sum_**2
        for sum_, square in zip(sums, squares, strict=True)
    )


def sum_and_check_mapping(counts: Tensor, mapping: Tensor) -> Tensor:
    """Sum numbers over processes, and check in passing that mappings agree.

    Args:
        counts (Tensor): int64, any number of them, also none.
        mapping (Tensor): The prompt of each class, int64, (K, ).

    Returns:
        Tensor: The sums, in the shape of ``counts``.

    Raises:
        RuntimeError: On all processes, if the mapping is not the same on all.
    """
    world_size = get_world_size()
    if world_size == 1:
        return counts
    message = torch.cat([counts, signature(mapping)])
    all_reduce(message)
    if not is_agreed(message[len(counts) :], world_size):
        # All processes get here, so they can talk.
        mappings = all_gather_object(mapping.tolist())
        raise RuntimeError(_different_mappings(mappings))
    return message[: len(counts)]


def _different_mappings(mappings: List[List[int]]) -> str:
    main = mappings[0]
    rank = next(r for r, mapping in enumerate(mappings) if mapping != main)
    pairs = zip(main, mappings[rank], strict=True)
    place = next(k for k, (a, b) in enumerate(pairs) if a != b)
    return (
        'the class-to-prompt mapping should be the same on all processes, '
        f'but class {place} has prompt {main[place]} on rank 0 and '
        f'{mappings[rank][place]} on rank {rank}: something changes the '
        'buffers of `guidance` on some processes only, such as a hook or a '
        'model wrapper of your own; remove it, and go on from the last '
        'checkpoint with --resume'
    )


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
