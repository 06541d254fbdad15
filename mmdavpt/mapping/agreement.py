"""Compare the mapping across ranks."""

import torch
from mmengine.dist import all_gather
from torch import Tensor


def check_same_mapping(mapping: Tensor) -> None:
    """Check that all ranks have the same mapping.

    Args:
        mapping (Tensor): Prompt of each class, int64, shape (K, ).

    Raises:
        RuntimeError: On all ranks, if one has another mapping.
    """
    main, *others = all_gather(mapping)
    for rank, other in enumerate(others, start=1):
        if not torch.equal(main, other):
            k = int((main != other).nonzero()[0])
            raise RuntimeError(
                f'class {k} has prompt {int(main[k])} on rank 0, but '
                f'{int(other[k])} on rank {rank}: something changes the '
                'buffers of `guidance` on some ranks only, such as a hook; '
                'remove it, and resume from the last checkpoint'
            )
