"""Count the operations and bytes of a step: the same on every machine."""

import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class LiveBytes(TorchDispatchMode):
    """Count the bytes of the tensors that were created and are still alive.

    Two tensors of one storage count once; older tensors do not count.
    Temporaries inside an operator are not seen.

    Attributes:
        now (int): Bytes that are alive.
        peak (int): The most bytes that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operator and count its results."""
        kwargs = kwargs or {}
        given = {
            x.untyped_storage()._cdata
            for x in tree_leaves((args, kwargs))
            if isinstance(x, Tensor)
        }
        out = func(*args, **kwargs)
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self._note(x, given)
        return out

    def _note(self, x: Tensor, given: set[int]) -> None:
        storage = x.untyped_storage()
        key = storage._cdata
        if key in given or key in self._known:
            return
        size = storage.nbytes()
        if isinstance(size, torch.SymInt):
            # The accuracy in the log: its size depends on values.
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def count_flops(run: Callable[[], Any]) -> int:
    """Return the operations of matrix products, convolutions and attention.

    A multiplication and its addition are two, as PyTorch counts them. The
    backward of fused attention includes the scores that it computes again.

    Args:
        run (Callable): The code to count.
    """
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def count_training(
    forward: Callable[[], Tensor], rest: Callable[[Tensor], None]
) -> dict[str, int]:
    """Return the costs of a training step.

    Args:
        forward (Callable): Returns the loss.
        rest (Callable): Backward and step.

    Returns:
        dict[str, int]: ``flops``; ``kept``, the bytes that forward keeps for
        backward; ``peak``, the most bytes alive in the step, without weights
        and optimizer state.
    """
    flops = count_flops(lambda: rest(forward()))
    # The optimizer has created its state by now.
    with LiveBytes() as live:
        loss = forward()
        kept = live.now
        rest(loss)
    return dict(flops=flops, kept=kept, peak=live.peak)


def count_inference(run: Callable[[], Tensor]) -> dict[str, int]:
    """Return the costs of inference with warm caches.

    Args:
        run (Callable): Returns the outputs.

    Returns:
        dict[str, int]: ``flops`` and ``peak``.
    """
    run()
    flops = count_flops(run)
    with LiveBytes() as live:
        run()
    return dict(flops=flops, kept=0, peak=live.peak)


def saved_bytes(forward: Callable[[], Tensor], known: set[int]) -> int:
    """Return the bytes that autograd's saved tensors hold.

    Args:
        forward (Callable): Returns the loss.
        known (set[int]): Storages that do not count: weights and inputs.

    Returns:
        int: A second measure of ``kept``, blind to recomputation and to
        what other hooks keep in place of a tensor.
    """
    found: dict[int, int] = {}
    hooks = torch.autograd.graph.saved_tensors_hooks

    def note(x: Any) -> Any:
        if isinstance(x, Tensor):
            storage = x.untyped_storage()
            if storage._cdata not in known:
                found[storage._cdata] = storage.nbytes()
        return x

    def nested(pack: Callable, unpack: Callable) -> hooks:
        return hooks(lambda x: note(pack(x)), unpack)

    own = patch.object(torch.autograd.graph, 'saved_tensors_hooks', nested)
    with own, hooks(note, lambda x: x):
        loss = forward()
    total = sum(found.values())
    del loss
    return total
