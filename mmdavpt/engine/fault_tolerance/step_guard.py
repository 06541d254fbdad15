"""Skip the optimizer step of a loss that is not finite."""

from collections.abc import Mapping

import torch
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper
from torch import Tensor, nn


class StepGuard:
    """Replaces the update of an optimizer wrapper; skips non-finite losses.

    Gradients are averaged over ranks, so all ranks skip a step together if
    the loss of one is not finite. The buffers that the forward pass changed,
    such as BN statistics and class sums, are restored: the iteration leaves
    no trace. With ``accumulative_counts``, only the gradients of the bad
    iteration are dropped, unless it is the last of its step: then the whole
    step is.

    Args:
        optim_wrapper (OptimWrapper): Its ``update_params`` is replaced.

    Attributes:
        skipped (bool): Whether the last step was skipped.
    """

    def __init__(self, optim_wrapper: OptimWrapper) -> None:
        self._wrapper = optim_wrapper
        self._update = optim_wrapper.update_params
        optim_wrapper.update_params = self
        self._buffers: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}
        self.skipped = False

    @torch.no_grad()
    def remember(self, model: nn.Module) -> None:
        """Copy the buffers of a model before an iteration.

        Args:
            model (nn.Module): The model, with or without wrapper.
        """
        self._buffers = dict(model.named_buffers())
        self._kept = {
            name: buffer.clone() for name, buffer in self._buffers.items()
        }
        self.skipped = False

    def __call__(self, loss: Tensor, *args, **kwargs) -> None:
        """Update the parameters, or undo the iteration.

        Args:
            loss (Tensor): The loss, a scalar.
            *args: See ``OptimWrapper.update_params``.
            **kwargs: See there.
        """
        bad = (~torch.isfinite(loss.detach())).float().reshape(1)
        all_reduce(bad, op='max')
        self.skipped = bool(bad.item())
        if not self.skipped:
            self._update(loss, *args, **kwargs)
            return
        with torch.no_grad():
            for name, buffer in self._buffers.items():
                buffer.copy_(self._kept[name])
        # Count the iteration, so that later steps come at their usual time.
        self._wrapper._inner_count += 1
        if self._wrapper.should_update():
            # Only this iteration would have averaged the accumulated
            # gradients over ranks.
            self._wrapper.zero_grad()


def non_finite_values(
    model: nn.Module, state_dict: Mapping[str, Tensor]
) -> list[str]:
    """Return the trained parameters and buffers that are not finite.

    Args:
        model (nn.Module): The model, without wrapper.
        state_dict (Mapping[str, Tensor]): Its state.

    Returns:
        list[str]: Names of trained parameters and of buffers.
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
