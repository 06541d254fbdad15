"""Undo everything that a trial step does to a run."""

import copy
import io
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import numpy as np
import torch
import torch.distributed as dist
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch.distributed import distributed_c10d
from torch.utils.data import Dataset

from mmdavpt.randomness import isolated_randomness
from mmdavpt.unwrap import unwrap

#: Draws that an object makes from one of its own change it in place.
GENERATORS = (random.Random, torch.Generator)
GENERATORS += (np.random.Generator, np.random.RandomState)


@contextmanager
def no_trace(runner: Runner) -> Iterator[None]:
    """Restore a run after the block.

    Restores weights, buffers, gradients, module attributes, optimizers, loss
    scalers, message hubs, process group and all random generators. Inside,
    nothing is logged or printed, the optimizer steps after one batch, and this
    process gets a separate process group, so that a collective cannot wait for
    other ranks.

    Args:
        runner (Runner): The runner, with weights initialized and loaded.
    """
    model = unwrap(runner.model)
    modules = list(model.modules())
    parameters = list(model.parameters())
    wrappers = [runner.optim_wrapper]
    if isinstance(runner.optim_wrapper, OptimWrapperDict):
        wrappers = list(runner.optim_wrapper.optim_wrappers.values())
    optimizers = [wrapper.optimizer for wrapper in wrappers]
    loggers = list(MMLogger._instance_dict.values())
    hubs = list(MessageHub._instance_dict.values())
    restored = [
        *map(vars, [*modules, *wrappers, *optimizers, *loggers, *hubs]),
        *(module._buffers for module in modules),
        *(group for o in optimizers for group in o.param_groups),
    ]
    original = [_copied(attributes) for attributes in restored]
    # Of frozen weights too: some models move them, such as momentum encoders.
    # On the CPU, to leave a GPU's memory to the trial step.
    tensors = [*parameters, *model.buffers()]
    values = [tensor.detach().to('cpu', copy=True) for tensor in tensors]
    try:
        _separate(wrappers, hubs)
        for logger in loggers:
            logger.disabled = True
        with (
            isolated_randomness(runner.seed),
            redirect_stdout(io.StringIO()),
            _single_process(),
        ):
            yield
    finally:
        for attributes, before in zip(restored, original, strict=True):
            attributes.clear()
            attributes.update(before)
    # Not after an error: a GPU may be out of order.
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)
    for parameter in parameters:
        parameter.grad = None
    if torch.cuda.is_available():
        # The log shows the peak memory of the training.
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _copied(attributes: dict) -> dict:
    """Copy a dict and the random generators in it."""
    return {
        name: copy.deepcopy(value) if isinstance(value, GENERATORS) else value
        for name, value in attributes.items()
    }


def isolated_dataset(dataset: Dataset) -> Dataset:
    """Copy a dataset with its transforms, but not its data.

    Some transforms remember the samples that they saw, and some datasets
    draw from a generator of their own.

    Args:
        dataset (Dataset): The dataset, possibly a wrapper of others.

    Returns:
        Dataset: A shallow copy with deep copies of all transforms and random
        generators.
    """
    clone = copy.copy(dataset)
    for name, value in vars(dataset).items():
        transforms = name in ('pipeline', 'transform', 'transforms')
        if transforms or isinstance(value, GENERATORS):
            value = copy.deepcopy(value)
        elif isinstance(value, Dataset):
            value = isolated_dataset(value)
        elif name == 'datasets':
            value = [isolated_dataset(inner) for inner in value]
        vars(clone)[name] = value
    return clone


def _separate(wrappers: list[OptimWrapper], hubs: list[MessageHub]) -> None:
    """Replace objects that would change in place by copies."""
    for wrapper in wrappers:
        optimizer = wrapper.optimizer
        states = {p: copy.deepcopy(s) for p, s in optimizer.state.items()}
        optimizer.state = defaultdict(dict, states)
        wrapper._accumulative_counts = 1
        if hasattr(wrapper, 'loss_scaler'):
            wrapper.loss_scaler = copy.deepcopy(wrapper.loss_scaler)
    for hub in hubs:
        for name in ('_log_scalars', '_runtime_info', '_resumed_keys'):
            setattr(hub, name, copy.deepcopy(getattr(hub, name)))


@contextmanager
def _single_process() -> Iterator[None]:
    """Make this rank the only member of the default process group."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        yield
        return
    world = dist.group.WORLD
    alone = dist.new_group([dist.get_rank()], use_local_synchronization=True)
    distributed_c10d._update_default_pg(alone)
    try:
        yield
    finally:
        distributed_c10d._update_default_pg(world)
        dist.destroy_process_group(alone)
