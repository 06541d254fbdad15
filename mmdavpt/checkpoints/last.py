"""Find the checkpoint that a run resumes from."""

import os.path as osp
from pathlib import Path

from mmdavpt.errors import UsageError

from .reading import read_run_checkpoint
from .writing import atomic_write

#: File of a work folder that names its last checkpoint, as in mmengine.
POINTER = 'last_checkpoint'


def write_pointer(work_dir: str, checkpoint: str) -> None:
    """Name the last checkpoint of a work folder, atomically.

    Args:
        work_dir (str): The work folder.
        checkpoint (str): Path of the checkpoint, which is on disk.

    Raises:
        SaveError: If it cannot be written.
    """
    with atomic_write(osp.join(work_dir, POINTER)) as partial:
        Path(partial).write_text(checkpoint, encoding='utf-8')


def last_checkpoint(work_dir: str) -> tuple[str | None, list[str]]:
    """Return the newest intact checkpoint of a work folder.

    Usually the file that ``last_checkpoint`` names, looked up in the work
    folder itself first, so that a moved or copied folder uses its own file.
    If it is damaged or missing, the one with the most iterations.

    Args:
        work_dir (str): The work folder.

    Returns:
        tuple[str | None, list[str]]: Its path, None if there is none; and
        messages about skipped files.

    Raises:
        UsageError: If there are checkpoints, but none can be resumed:
            a fresh start would overwrite them.
    """
    named, notes = _named_checkpoint(work_dir)
    if named is not None and '://' in named:  # in a remote storage
        return named, notes
    if named is not None:
        try:
            if _iteration(named) is not None:
                return named, notes
            notes.append(f'{named} is not resumable')
        except UsageError as error:
            notes.append(str(error))
    folder = Path(work_dir) if named is None else Path(named).parent
    found = []
    for path in map(str, sorted(folder.glob('*.pth'))):
        # The best checkpoints have no optimizer state.
        if osp.basename(path).startswith('best_') or path == named:
            continue
        try:
            iteration = _iteration(path)
        except UsageError as error:
            notes.append(str(error))
            continue
        if iteration is not None:
            found.append((iteration, path))
    if found:
        iteration, path = max(found)
        notes.append(
            f'resuming from {path} of iteration {iteration}, the newest '
            'intact checkpoint'
        )
        return path, notes
    if notes:
        raise UsageError(
            f'{work_dir} has no checkpoint that can be resumed: '
            f'{"; ".join(notes)}. Pass one as --resume CKPT, or use another '
            'work folder to start from scratch'
        )
    return None, []


def _named_checkpoint(work_dir: str) -> tuple[str | None, list[str]]:
    """Return the file that the pointer names, and its defect, if any."""
    pointer = Path(work_dir) / POINTER
    if not pointer.is_file():
        return None, []
    name = pointer.read_text(encoding='utf-8', errors='replace').strip()
    if not name or '\0' in name:
        return None, [f'{pointer} is damaged: it names no file']
    for path in (osp.join(work_dir, osp.basename(name)), name):
        if osp.isfile(path) or '://' in path:
            return path, []
    return None, [f'{pointer} names {name}, which does not exist']


def _iteration(path: str) -> int | None:
    """Return the iteration of a checkpoint, None if it is not resumable."""
    content = read_run_checkpoint(path)
    meta = content.get('meta')
    resumable = (
        isinstance(meta, dict)
        and isinstance(meta.get('iter'), int)
        and isinstance(meta.get('epoch'), int)
        and all(
            isinstance(content.get(key), dict)
            for key in ('state_dict', 'message_hub', 'optimizer')
        )
    )
    return meta['iter'] if resumable else None
