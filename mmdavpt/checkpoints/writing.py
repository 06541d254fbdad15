"""Write files whole or not at all, whatever stops the writing."""

import io
import os
import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from mmdavpt.errors import UsageError

#: What the name of a file ends in while it is written.
PARTIAL = '.partial'


class SaveError(UsageError):
    """A file could not be written; what was there before is untouched."""


@contextmanager
def atomic_write(path: str) -> Iterator[str]:
    """Write a file whole or not at all.

    What the block writes goes to a file beside it, which reaches the disk
    before it takes the name: at no time, not even when the power fails, is
    there a part of it under its name, and what was there before stays until
    then.

    Args:
        path (str): The file. Its folder is made.

    Yields:
        str: The path that the block is to write to.

    Raises:
        SaveError: If it cannot be written, as on a full disk.
    """
    path = osp.abspath(path)
    partial = path + PARTIAL
    try:
        os.makedirs(osp.dirname(path), exist_ok=True)
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
        # Some file systems cannot do this; the file itself is safe on them.
        with suppress(OSError):
            _to_disk(osp.dirname(path))
    except BaseException as error:
        with suppress(OSError):
            os.remove(partial)
        if isinstance(error, OSError):
            raise SaveError(
                f'{path} could not be written ({error.strerror or error}); '
                'what was there before is untouched: make room, or name '
                'another folder'
            ) from error
        raise


def save_checkpoint(content: dict, path: str) -> None:
    """Write a checkpoint whole or not at all.

    Args:
        content (dict): What ``torch.save`` takes. With a path that ends in
            ``.safetensors`` only ``state_dict`` is written, and ``meta`` as
            its metadata.
        path (str): The file.

    Raises:
        SaveError: If it cannot be written.
    """
    if path.endswith('.safetensors'):
        from .safetensors_form import to_bytes

        data = to_bytes(content)
    else:
        # In memory first, as the hosts do: PyTorch tells a full disk only as
        # an internal error of its archive.
        with io.BytesIO() as buffer:
            torch.save(content, buffer)
            data = buffer.getvalue()
    with atomic_write(path) as partial:
        Path(partial).write_bytes(data)


def partial_files(folder: str) -> list[str]:
    """Return the files that writings which were killed have left behind.

    Args:
        folder (str): The folder. If only one process saves in it, and does
            not do so now, nothing needs them.
    """
    return sorted(str(path) for path in Path(folder).glob(f'*{PARTIAL}'))


def _to_disk(path: str) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
