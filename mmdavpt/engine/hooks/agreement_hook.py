"""The hook that compares processes at the start of a training."""

import hashlib

from mmengine.dist import broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from mmdavpt.engine.ranks.agreement import (
    check_same_on_all_ranks,
    weights_checksum,
)
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap

#: What is compared, and what to do where it differs.
ADVICE = {
    'the config': 'start all processes with the same config and options',
    'the iteration to start at': (
        'put work_dir where all machines read it, or copy the checkpoint to '
        'each of them'
    ),
    'the number of batches per epoch': (
        'give each process as many images: round_up=True of the '
        'DefaultSampler, or the same dataset on all machines'
    ),
    'the checksum of the weights': (
        'load the same file on all machines, for load_from, --resume and '
        'init_cfg alike'
    ),
}


@HOOKS.register_module()
class AgreementHook(Hook):
    """Keep processes from training apart without anybody noticing.

    Before a training it compares what each process starts with. Without it,
    processes with another number of batches wait for each other for ever, and
    other frozen weights on another machine change the result silently.

    Before a validation all processes take the running statistics of BN of
    rank 0, so that the model that is evaluated is the one that is saved.
    """

    # After weights were loaded, before any hook uses them.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Compare config, start, number of batches and weights.

        Raises:
            UsageError: On all processes, if one of them differs.
        """
        if get_world_size() == 1:
            return
        config = runner.cfg.pretty_text.encode()
        facts = (
            hashlib.sha256(config).hexdigest()[:12],
            runner.iter,
            len(runner.train_dataloader),
            weights_checksum(unwrap(runner.model)),
        )
        check_same_on_all_ranks(dict(zip(ADVICE, facts, strict=True)), ADVICE)

    def before_val_epoch(self, runner: Runner) -> None:
        """Take over the running statistics of rank 0."""
        if get_world_size() == 1:
            return
        for module in unwrap(runner.model).modules():
            if isinstance(module, _BatchNorm):
                for buffer in module.buffers(recurse=False):
                    broadcast(buffer)
