"""Share class statistics and the mapping across ranks."""

from collections.abc import Callable
from typing import TypeVar

import torch
from mmengine.dist import (
    all_gather,
    broadcast_object_list,
    get_world_size,
    is_main_process,
)
from torch import Tensor

Result = TypeVar('Result')


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


def run_on_rank_0(work: Callable[[], Result]) -> Result:
    """Call a function on rank 0 and return its result on every rank.

    Args:
        work (Callable[[], Result]): Its result must be picklable.

    Raises:
        ValueError: On all ranks, if ``work`` raises one.
        RuntimeError: On the other ranks, if it raises anything else.
    """
    # Type and text of an error, and the result.
    payload = [None, None, None]
    if not is_main_process():
        broadcast_object_list(payload)
        kind, text, result = payload
        if kind is not None:
            raise kind(text)
        return result
    try:
        payload[2] = work()
    except BaseException as error:
        kind = ValueError if isinstance(error, ValueError) else RuntimeError
        payload[:2] = kind, f'{type(error).__name__} on rank 0: {error}'
        raise
    finally:
        # Without it the other ranks would wait until a timeout.
        broadcast_object_list(payload)
    return payload[2]
