"""Compare the mapping across ranks."""

import torch
from mmengine.dist import all_gather, get_world_size
from torch import Tensor


def check_same_mapping(mapping: Tensor) -> None:
    """Check that all ranks have the same mapping.

    Args:
        mapping (Tensor): Prompt of each class, int64, shape (K, ).

    Raises:
        RuntimeError: On all ranks, if one has another mapping.
    """
    if get_world_size() == 1:
        return
    main, *others = all_gather(mapping)
    for rank, other in enumerate(others, start=1):
        if torch.equal(main, other):
            continue
        k = int((main != other).nonzero()[0])
        raise RuntimeError(
            'the class-to-prompt mapping should be the same on all ranks, '
            f'but class {k} has prompt {int(main[k])} on rank 0 and '
            f'{int(other[k])} on rank {rank}: something changes the buffers '
            'of `guidance` on some ranks only, such as a hook or a model '
            'wrapper; remove it, and resume from the last checkpoint'
        )
