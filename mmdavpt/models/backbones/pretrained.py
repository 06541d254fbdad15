"""Strict loading of pre-trained weights into a prompted backbone."""

import os.path as osp
from typing import Optional, Sequence

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import nn


def load_pretrained(
    module: nn.Module,
    checkpoint: str,
    prefix: Optional[str] = None,
    own: Sequence[str] = (),
) -> None:
    """Load a checkpoint, or refuse it: nothing stays random unnoticed.

    Args:
        module (nn.Module): The backbone, with mmpretrain's parameter names.
        checkpoint (str): File or URL.
        prefix (str, optional): What the backbone's keys start with. Defaults
            to None: ``'backbone.'`` if such keys exist, else nothing.
        own (Sequence[str]): Beginnings of names that a pre-trained checkpoint
            need not have.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If keys are missing.
        RuntimeError: If shapes do not fit.
    """
    if '://' not in checkpoint:
        checkpoint = osp.expanduser(checkpoint)
    if '://' not in checkpoint and not osp.isfile(checkpoint):
        raise FileNotFoundError(
            f'the pre-trained checkpoint should be a file, but there is none '
            f'at {osp.abspath(checkpoint)}; download or convert it, and set '
            'model.backbone.init_cfg.checkpoint to its path'
        )
    state = CheckpointLoader.load_checkpoint(
        checkpoint, map_location='cpu', logger='current'
    )
    state = state.get('state_dict', state)
    if prefix is None:
        prefix = (
            'backbone.'
            if any(key.startswith('backbone.') for key in state)
            else ''
        )
    prefix = prefix if prefix.endswith('.') or not prefix else f'{prefix}.'
    state = {
        key[len(prefix) :]: value
        for key, value in state.items()
        if key.startswith(prefix)
    }
    expected = {
        key for key in module.state_dict() if not key.startswith(tuple(own))
    }
    missing = sorted(expected - set(state))
    if missing:
        raise ValueError(
            f'{checkpoint} should hold all {len(expected)} pre-trained '
            f'weights of {type(module).__name__} under the prefix '
            f'{prefix!r}, but {len(missing)} are missing, such as '
            f'{missing[:4]}; it has keys such as {list(state)[:4]}. Convert '
            "it to mmpretrain's names, or correct `prefix` and `arch`"
        )
    unused = sorted(set(state) - set(module.state_dict()))
    module.load_state_dict(
        {key: value for key, value in state.items() if key not in unused},
        strict=False,
    )
    note = f'; not used: {unused}' if unused else ''
    print_log(
        f'Loaded {len(expected)} pre-trained weights from {checkpoint}{note}',
        logger='current',
    )
