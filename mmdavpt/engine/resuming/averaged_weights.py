"""Averages of weights, which a validation puts in the weights' place."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.hooks import EMAHook
from mmengine.runner import Runner

from mmdavpt.engine.ranks.agreement import weights_checksum

from .stopping import Stopped


@contextmanager
def restore_weights_if_stopped(runner: Runner) -> Iterator[None]:
    """Give a model its own weights back if a validation is cut off.

    The hosts' hooks swap them with their averages before a validation, and
    back after it. A checkpoint of a time in between would hold each in the
    place of the other.

    Args:
        runner (Runner): The runner, whose validation the block does.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    before = weights_checksum(runner.model) if hooks else 0
    try:
        yield
    except Stopped:
        # One that validates both has already swapped back for the second.
        if hooks and weights_checksum(runner.model) != before:
            for hook in reversed(hooks):
                hook._swap_ema_parameters()
        raise
