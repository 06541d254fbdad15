"""What a run remembers of its checkpoints."""

import os.path as osp
from collections import deque
from typing import Any, Callable

from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub

#: What a save changes of the hook.
OWN = ('last_ckpt', 'keep_ckpt_ids', 'best_ckpt_path', 'best_ckpt_path_dict')

#: What the message hub says of checkpoints.
RECORDS = ('keep_ckpt_ids', 'last_ckpt', 'best_ckpt', 'best_score')


def snapshot_records(
    hook: CheckpointHook, hub: MessageHub
) -> Callable[[], None]:
    """Return what puts records back to what they are now.

    Args:
        hook (CheckpointHook): The hook that saves.
        hub (MessageHub): Of its runner.
    """
    own = {key: _copy(vars(hook)[key]) for key in OWN if key in vars(hook)}
    records = {
        key: value
        for key, value in hub.runtime_info.items()
        if key.startswith(RECORDS)
    }

    def restore() -> None:
        for key in [k for k in hub.runtime_info if k.startswith(RECORDS)]:
            hub.pop_info(key)
        for key, value in records.items():
            hub.update_info(key, value)
        vars(hook).update(own)

    return restore


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, (dict, deque)) else value


def relocate_best_checkpoint(hook: CheckpointHook) -> None:
    """Let the records of a moved run name the best files of its new place.

    Else the new run would delete those of the old place.

    Args:
        hook (CheckpointHook): The hook that saves, after it got its records.
    """

    def here(path: str | None) -> str | None:
        if path is None:
            return None
        return hook.file_backend.join_path(hook.out_dir, osp.basename(path))

    if hasattr(hook, 'best_ckpt_path'):
        hook.best_ckpt_path = here(hook.best_ckpt_path)
    for key, path in getattr(hook, 'best_ckpt_path_dict', {}).items():
        hook.best_ckpt_path_dict[key] = here(path)
