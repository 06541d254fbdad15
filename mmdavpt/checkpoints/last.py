"""Which checkpoint of a work folder a run goes on from."""

import os.path as osp
from collections.abc import Iterator
from pathlib import Path

from mmdavpt.errors import UsageError

from .reading import read_run_checkpoint
from .writing import atomic_write

#: The file of a work folder that names its last checkpoint, as in mmengine.
POINTER = 'last_checkpoint'


def write_pointer(work_dir: str, checkpoint: str) -> None:
    """Name the last checkpoint of a work folder, whole or not at all.

    Args:
        work_dir (str): The work folder.
        checkpoint (str): Path of the checkpoint, which is on the disk.

    Raises:
        SaveError: If it cannot be written.
    """
    with atomic_write(osp.join(work_dir, POINTER)) as partial:
        Path(partial).write_text(checkpoint, encoding='utf-8')


def last_checkpoint(work_dir: str) -> tuple[str | None, list[str]]:
    """Return the newest whole checkpoint of a work folder.

    The file that ``last_checkpoint`` names counts, if it can be read: in the
    work folder itself first, so that one that was moved or copied goes on
    from its own. Else the newest by iteration that has all that resuming
    needs.

    Args:
        work_dir (str): The work folder.

    Returns:
        tuple[str | None, list[str]]: Its path, None if there is none; and
        sentences on what was passed over, to be shown.

    Raises:
        UsageError: If there are checkpoints, but none that can be resumed:
            starting anew would write over them.
    """
    named, notes = _named(work_dir)
    if named is not None and '://' in named:  # the hosts' storages
        return named, notes
    if named is not None:
        reason = _why_unfit(named)
        if reason is None:
            return named, notes
        notes.append(reason)
    found = []
    for path in _candidates(work_dir, named):
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
            f'going on from {path} of iteration {iteration}, the newest that '
            'is whole'
        )
        return path, notes
    if notes:
        raise UsageError(
            f'{work_dir} has no checkpoint that can be resumed: '
            + '; '.join(notes)
            + '. Name one by --resume CKPT, or another work folder to start '
            'anew'
        )
    return None, []


def _named(work_dir: str) -> tuple[str | None, list[str]]:
    """Return the file that the pointer means, and what is wrong with it."""
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


def _candidates(work_dir: str, named: str | None) -> Iterator[str]:
    """Yield the other checkpoints, of where the pointer points to."""
    folder = Path(work_dir) if named is None else Path(named).parent
    for path in sorted(folder.glob('*.pth')):
        # Those of the best score have no optimizer.
        if not path.name.startswith('best_') and str(path) != named:
            yield str(path)


def _why_unfit(path: str) -> str | None:
    try:
        iteration = _iteration(path)
    except UsageError as error:
        return str(error)
    if iteration is None:
        return f'{path} is not one that a training can go on from'
    return None


def _iteration(path: str) -> int | None:
    """Return the iteration of a whole checkpoint; None if not of a run."""
    content = read_run_checkpoint(path)
    meta = content.get('meta')
    whole = (
        isinstance(meta, dict)
        and isinstance(meta.get('iter'), int)
        and isinstance(meta.get('epoch'), int)
        and isinstance(content.get('state_dict'), dict)
        and isinstance(content.get('message_hub'), dict)
        and isinstance(content.get('optimizer'), dict)
    )
    return meta['iter'] if whole else None
