"""Optimizer wrappers and constructors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from mmdavpt.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS

__all__ = ['CpuAmpOptimWrapper', 'TrainableOptimWrapperConstructor']


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Train under bfloat16 autocast, without loss scaling.

    mmengine's ``AmpOptimWrapper`` requires an accelerator. bfloat16 has the
    range of float32, so gradients need no scaling. Arguments are those of
    :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast.

        Args:
            model (nn.Module): The training model.
        """
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, silent about modules that are frozen entirely.

    The parent logs a warning for each frozen parameter, some 300 for a
    ViT-L, and they would hide one that matters. The parameter groups are the
    same.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, *args, **kwargs
    ) -> None:
        """Add the trainable parameters of a module to the groups.

        Args:
            params (list[dict]): The parameter groups so far, added to.
            module (nn.Module): The module.
            *args: See the parent.
            **kwargs: See the parent.
        """
        if any(p.requires_grad for p in module.parameters()):
            super().add_params(params, module, *args, **kwargs)
