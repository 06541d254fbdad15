"""The hook that stops runs whose ranks differ."""

import hashlib

import torch
from mmengine.dist import all_gather_object, broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdavpt.errors import UsageError
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap

#: Compared values, and advice for each of them if it differs.
OTHERWISE = {
    'the config': 'start all processes with the same config and options',
    'the iteration to start at': (
        'put work_dir where all machines read it, or copy the checkpoint to '
        'each of them'
    ),
    'the number of batches per epoch': (
        'give each process the same number of images: round_up=True of the '
        'DefaultSampler, or the same dataset on all machines'
    ),
    'the checksum of the weights': (
        'load the same file on all machines for load_from, --resume and '
        'init_cfg'
    ),
}


@HOOKS.register_module()
class AgreementHook(Hook):
    """Stop a run whose ranks would silently train different models.

    Ranks with different numbers of batches wait for each other until a
    timeout, and other frozen weights on another machine change the result
    silently. So all ranks compare what they start with before training.

    Before a validation, all ranks take the BN statistics of rank 0, so that
    the model that is evaluated is the one that is saved.
    """

    # After weights were loaded, before any hook uses them.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Compare config, start, number of batches and weights.

        Raises:
            UsageError: On all ranks, if one of them differs.
        """
        if get_world_size() == 1:
            return
        config = runner.cfg.pretty_text.encode()
        check_same_on_all_ranks(
            hashlib.sha256(config).hexdigest()[:12],
            runner.iter,
            len(runner.train_dataloader),
            weights_checksum(unwrap(runner.model)),
        )

    def before_val_epoch(self, runner: Runner) -> None:
        """Take the running statistics of rank 0."""
        if get_world_size() == 1:
            return
        for module in unwrap(runner.model).modules():
            if isinstance(module, _BatchNorm):
                for buffer in module.buffers(recurse=False):
                    broadcast(buffer)


def check_same_on_all_ranks(*values: object) -> None:
    """Check that all ranks have the same values.

    Args:
        *values (object): One for each entry of ``OTHERWISE``.

    Raises:
        UsageError: On all ranks, naming the first value that differs.
    """
    first, *others = all_gather_object(values)
    for i, (name, advice) in enumerate(OTHERWISE.items()):
        for rank, other in enumerate(others, start=1):
            if other[i] != first[i]:
                raise UsageError(
                    f'{name} should be the same on all processes, but rank 0 '
                    f'has {first[i]} and rank {rank} has {other[i]}; {advice}'
                )


def weights_checksum(model: nn.Module) -> int:
    """Return a number that changes if any weight changes.

    Buffers are excluded: each rank has its own BN statistics unless these are
    synchronized.

    Args:
        model (nn.Module): The model.
    """
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    total = 0
    for i, parameter in enumerate(model.parameters(), start=1):
        value = parameter.detach().contiguous()
        # Sums of bits, read as integers, are the same on all devices in any
        # order. Weighted, so that exchanged weights differ too.
        bits = value.view(kind[value.element_size()])
        total += i * bits.sum(dtype=torch.int64).item()
    return total
