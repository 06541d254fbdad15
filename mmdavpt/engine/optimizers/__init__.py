"""Optimizer wrappers and constructors."""

from .cpu_amp_optim_wrapper import CpuAmpOptimWrapper
from .trainable_constructor import TrainableOptimWrapperConstructor

__all__ = ['CpuAmpOptimWrapper', 'TrainableOptimWrapperConstructor']
