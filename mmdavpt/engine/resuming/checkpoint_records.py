"""Snapshot and relocate the records about saved checkpoints."""

import os.path as osp
from collections.abc import Callable
from copy import copy

from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub

#: Attributes of the hook that a save changes.
OWN = ('last_ckpt', 'keep_ckpt_ids', 'best_ckpt_path', 'best_ckpt_path_dict')

#: Prefixes of the message hub's keys about checkpoints.
RECORDS = ('keep_ckpt_ids', 'last_ckpt', 'best_ckpt', 'best_score')


def snapshot_records(hook: CheckpointHook, hub: MessageHub) -> Callable:
    """Return a function that restores the current records.

    Args:
        hook (CheckpointHook): The hook that saves.
        hub (MessageHub): The message hub of its runner.
    """
    own = {key: copy(vars(hook)[key]) for key in OWN if key in vars(hook)}
    info = hub.runtime_info
    records = {k: v for k, v in info.items() if k.startswith(RECORDS)}

    def restore() -> None:
        for key in [k for k in hub.runtime_info if k.startswith(RECORDS)]:
            hub.pop_info(key)
        for key, value in records.items():
            hub.update_info(key, value)
        vars(hook).update(own)

    return restore


def relocate_best_checkpoint(hook: CheckpointHook) -> None:
    """Point the records of a moved run to the best files in its new folder.

    Otherwise the new run would delete those in the old folder.

    Args:
        hook (CheckpointHook): The hook that saves, after it has its records.
    """

    def relocate(path: str | None) -> str | None:
        if path is None:
            return None
        return hook.file_backend.join_path(hook.out_dir, osp.basename(path))

    if hasattr(hook, 'best_ckpt_path'):
        hook.best_ckpt_path = relocate(hook.best_ckpt_path)
    for key, path in getattr(hook, 'best_ckpt_path_dict', {}).items():
        hook.best_ckpt_path_dict[key] = relocate(path)
