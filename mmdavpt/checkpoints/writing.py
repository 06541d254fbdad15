"""Write files atomically: a file is complete or does not exist."""

import io
import json
import os
import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from mmdavpt.errors import UsageError

#: Suffix of a file while it is written.
PARTIAL = '.partial'


class SaveError(UsageError):
    """A file could not be written; an older file is unchanged."""


@contextmanager
def atomic_write(path: str) -> Iterator[str]:
    """Write a file atomically.

    The block writes a temporary file in the same folder, which is flushed to
    disk before it is renamed. At no time, not even after a power cut, does
    ``path`` name an incomplete file, and an older file stays until then.

    Args:
        path (str): The file. Its folder is created.

    Yields:
        str: The path to write to.

    Raises:
        SaveError: If writing fails, for example on a full disk.
    """
    path = osp.abspath(path)
    partial = path + PARTIAL
    try:
        os.makedirs(osp.dirname(path), exist_ok=True)
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
        # Some file systems cannot flush a folder; there the file is safe.
        with suppress(OSError):
            _to_disk(osp.dirname(path))
    except BaseException as error:
        with suppress(OSError):
            os.remove(partial)
        if isinstance(error, OSError):
            raise SaveError(
                f'{path} could not be written ({error.strerror or error}), '
                'and an older file is unchanged; free some space, or choose '
                'another folder'
            ) from error
        raise


def save_checkpoint(content: dict, path: str) -> None:
    """Write a checkpoint atomically.

    Args:
        content (dict): What ``torch.save`` takes.
        path (str): The file. A path that ends in ``.safetensors`` stores only
            ``state_dict``, and ``meta`` (classes, iteration, versions,
            config) as JSON: a file to test or to start from, but not to
            resume.

    Raises:
        SaveError: If writing fails.
    """
    if path.endswith('.safetensors'):
        data = safetensors_bytes(content)
    else:
        # In memory first, as mmengine does: PyTorch reports a full disk only
        # as an internal error of its archive.
        with io.BytesIO() as buffer:
            torch.save(content, buffer)
            data = buffer.getvalue()
    with atomic_write(path) as partial:
        Path(partial).write_bytes(data)


def partial_files(folder: str) -> list[str]:
    """Return the temporary files of killed writers.

    Args:
        folder (str): The folder. If only one process saves there, and does
            not do so now, they can be deleted.
    """
    return sorted(str(path) for path in Path(folder).glob(f'*{PARTIAL}'))


def safetensors_bytes(content: dict) -> bytes:
    """Return the content of a ``.safetensors`` file.

    Args:
        content (dict): ``state_dict``, and ``meta``, which becomes JSON.
    """
    weights = {
        # safetensors accepts no shared memory and no gaps.
        name: value.detach().cpu().contiguous().clone()
        for name, value in content['state_dict'].items()
        if isinstance(value, Tensor)
    }
    # NumPy's numbers and arrays become Python's.
    meta = json.dumps(content.get('meta', {}), default=lambda x: x.tolist())
    return to_safetensors(weights, metadata=dict(format='pt', meta=meta))


def _to_disk(path: str) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
