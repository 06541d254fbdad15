"""Mixed precision where mmengine's own wrapper refuses to start."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from mmdavpt.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Train under bfloat16 autocast, without loss scaling.

    mmengine's ``AmpOptimWrapper`` asserts an accelerator. bfloat16 has the
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
