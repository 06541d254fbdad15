"""Check that all ranks have the same mapping."""

import torch
from mmengine.dist import all_gather, all_reduce, get_world_size
from torch import Tensor


def sum_and_check_mapping(counts: Tensor, mapping: Tensor) -> Tensor:
    """Sum numbers over ranks, and check that all have the same mapping.

    Args:
        counts (Tensor): int64, any number of them, also none.
        mapping (Tensor): Prompt of each class, int64, (K, ).

    Returns:
        Tensor: The sums, in the shape of ``counts``.

    Raises:
        RuntimeError: On all ranks, if one has another mapping.
    """
    if get_world_size() == 1:
        return counts
    total = counts.clone()
    if len(total):
        all_reduce(total)
    main, *others = all_gather(mapping)
    for rank, other in enumerate(others, start=1):
        if not torch.equal(main, other):
            k = int((main != other).nonzero()[0])
            raise RuntimeError(
                'the class-to-prompt mapping should be the same on all '
                f'processes, but class {k} has prompt {int(main[k])} on rank '
                f'0 and {int(other[k])} on rank {rank}; remove what changes '
                'the buffers of `guidance` on some processes only, and resume '
                'from the last checkpoint'
            )
    return total
