"""Run an experiment table on CPU cores, two times faster.

    python benchmarks/arena/run.py benchmarks/arena/birds_search.csv

The arguments are those of ``mmdavpt experiment``. Training runs in bfloat16
autocast, and attention as plain matrix products: PyTorch's fused CPU kernel
takes 40 % of such a step for its backward pass over 50 tokens. One ViT-S at
98 px trains 55 images per second and core, against 28 (AMX, 10 prompts).
"""

import sys
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from mmdavpt.cli import experiment
from mmdavpt.cli.messages import run_command

torch.backends.cuda.enable_flash_sdp(False)  # on the CPU too


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Train in bfloat16 autocast on a CPU."""

    @contextmanager
    def optim_context(self, model):
        """Compute losses in autocast."""
        with super().optim_context(model), torch.autocast('cpu'):
            yield


if __name__ == '__main__':
    amp = ['--cfg-options', 'optim_wrapper.type=CPUAmpOptimWrapper']
    sys.exit(run_command(experiment, [*sys.argv[1:], *amp]))
