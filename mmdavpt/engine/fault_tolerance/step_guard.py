"""Leaving out the optimizer step of a loss that is not finite."""

from typing import Dict

import torch
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper
from torch import Tensor, nn


class StepGuard:
    """Stands before an optimizer wrapper and lets only finite losses through.

    All processes leave out a step together if the loss of one is not finite:
    gradients are averaged over them. What the forward pass left in buffers,
    such as the running statistics of batch norm and the class sums, is put
    back to what it was, so that the iteration leaves no trace. Where a step
    takes several iterations (``accumulative_counts``), the gradients of the
    iteration are left out, and of the last one the whole step.

    Args:
        optim_wrapper (OptimWrapper): Its ``update_params`` is replaced.

    Attributes:
        skipped (bool): Whether the last step was left out.
    """

    def __init__(self, optim_wrapper: OptimWrapper) -> None:
        self._wrapper = optim_wrapper
        self._update = optim_wrapper.update_params
        optim_wrapper.update_params = self
        self._buffers: Dict[str, Tensor] = {}
        self._kept: Dict[str, Tensor] = {}
        self.skipped = False

    @torch.no_grad()
    def remember(self, model: nn.Module) -> None:
        """Keep the buffers of a model as they are before an iteration.

        Args:
            model (nn.Module): The model, with or without wrapper.
        """
        self._buffers = dict(model.named_buffers())
        self._kept = {
            name: buffer.clone() for name, buffer in self._buffers.items()
        }
        self.skipped = False

    @torch.no_grad()
    def _put_back(self) -> None:
        for name, buffer in self._buffers.items():
            buffer.copy_(self._kept[name])

    def _count(self) -> None:
        """Let the next step come when it would have come.

        Gradients that were gathered for this step are dropped: only its last
        iteration would have averaged them over processes.
        """
        self._wrapper._inner_count += 1
        if self._wrapper.should_update():
            self._wrapper.zero_grad()

    def __call__(self, loss: Tensor, *args, **kwargs) -> None:
        """Update the parameters, or leave no trace of the iteration.

        Args:
            loss (Tensor): The loss, a scalar.
            *args: See ``OptimWrapper.update_params``.
            **kwargs: See there.
        """
        bad = (~torch.isfinite(loss.detach())).float().reshape(1)
        all_reduce(bad, op='max')
        self.skipped = bool(bad.item())
        if self.skipped:
            self._put_back()
            self._count()
        else:
            self._update(loss, *args, **kwargs)


def not_finite(model: nn.Module, state_dict: dict) -> list:
    """Return what a training changes and is no longer finite.

    Args:
        model (nn.Module): The model, without wrapper.
        state_dict (dict): Of the model, names to tensors.

    Returns:
        List[str]: Names of parameters that train, and of buffers.
    """
    names = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    names += [name for name, _ in model.named_buffers()]
    return [
        name
        for name in names
        if name in state_dict and not torch.isfinite(state_dict[name]).all()
    ]
