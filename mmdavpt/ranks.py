"""Rank-0 work, for code that all ranks run together."""

from collections.abc import Callable
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process

from .errors import UsageError


def run_on_rank_0(work: Callable[[], Any]) -> Any:
    """Call a function on rank 0 and return its result on every rank.

    The other ranks wait meanwhile. An error that ended rank 0 alone would
    leave them waiting until the timeout of the process group.

    Args:
        work (Callable[[], Result]): Its result is pickled, so share tensors
            of a device in another way.

    Returns:
        Any: What ``work`` returned on rank 0.

    Raises:
        UsageError: On all ranks, if ``work`` raises one; of the same class.
        ValueError: On all ranks, if ``work`` raises one.
        RuntimeError: On the other ranks, if ``work`` raises anything else;
            rank 0 raises the original error.
    """
    # Class and text of an error, and the result.
    payload: list[Any] = [None, None, None]
    if not is_main_process():
        broadcast_object_list(payload)
        kind, text, result = payload
        if kind is not None:
            raise kind(text)
        return result
    try:
        payload[2] = work()
    except BaseException as error:
        payload[:2] = type(error), str(error)
        if not isinstance(error, UsageError):
            payload[0] = ValueError
        if not isinstance(error, ValueError):
            name = type(error).__name__
            payload[:2] = RuntimeError, f'rank 0 ended with {name}: {error}'
        raise
    finally:
        broadcast_object_list(payload)
    return payload[2]
