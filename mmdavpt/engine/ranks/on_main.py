"""Work that one process does for all of them."""

from typing import Callable, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

from mmdavpt.checkpoints import SaveError
from mmdavpt.errors import UsageError

Result = TypeVar('Result')


def on_main(work: Callable[[], Result]) -> Result:
    """Do work on rank 0, and give every rank its result or its error.

    While rank 0 works, the others wait for a message of it. An error that
    ended rank 0 alone would leave them waiting for ever, or until the
    timeout of the process group.

    Args:
        work (Callable[[], Result]): What to do. Its result travels by pickle,
            so tensors of a device should be shared in another way.

    Returns:
        Result: What ``work`` returned on rank 0.

    Raises:
        UsageError: On all ranks, if ``work`` raised one; a SaveError as such.
        ValueError: On all ranks, if ``work`` raised one.
        RuntimeError: On the other ranks, if ``work`` raised anything else;
            rank 0 raises the error itself.
    """
    # The kind of an error, its text, and the result.
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
        payload[:2] = _for_others(error)
        raise
    finally:
        broadcast_object_list(payload)
    return payload[2]


def _for_others(error: BaseException) -> tuple:
    """Return an error as a kind that surely can be sent, and a text."""
    for kind in (SaveError, UsageError, ValueError):
        if isinstance(error, kind):
            return kind, str(error)
    name = type(error).__name__
    return RuntimeError, f'rank 0 ended with {name}: {error}'
