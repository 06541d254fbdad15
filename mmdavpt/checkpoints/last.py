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
    if named is not None:
        remote = '://' in named  # in a storage that is not searched
        if remote or _iteration(named, notes) is not None:
            return named, notes
        notes = notes or [f'{named} is not resumable']
    folder = Path(work_dir) if named is None else Path(named).parent
    found = [
        (iteration, path)
        for path in map(str, sorted(folder.glob('*.pth')))
        # The best checkpoints have no optimizer state.
        if not osp.basename(path).startswith('best_') and path != named
        if (iteration := _iteration(path, notes)) is not None
    ]
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


def _iteration(path: str, notes: list[str]) -> int | None:
    """Return the iteration of a checkpoint, None if it is not resumable.

    Args:
        path (str): The checkpoint.
        notes (list[str]): Gets the message if it is damaged.
    """
    try:
        content = read_run_checkpoint(path)
    except UsageError as error:
        notes.append(str(error))
        return None
    parts = ('meta', 'state_dict', 'message_hub', 'optimizer')
    if not all(isinstance(content.get(part), dict) for part in parts):
        return None
    progress = [content['meta'].get(key) for key in ('iter', 'epoch')]
    return progress[0] if {*map(type, progress)} == {int} else None
