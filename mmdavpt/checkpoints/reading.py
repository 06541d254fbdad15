"""Read what PyTorch and safetensors have saved, without executing it."""

import json
import os
import os.path as osp
import pickle
import re
import struct
import zipfile
import zlib
from argparse import Namespace
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import get_torch_safe_globals
from torch import Tensor

from mmdavpt.errors import UsageError

#: Set to 1, it lets checkpoints of runs be unpickled. It is no key of a
#: config: who shares a config must not decide what is trusted.
VARIABLE = 'MMDAVPT_ALLOW_PICKLE'
ENVIRONMENT_ADVICE = f'set {VARIABLE}=1 in the environment of this command'

#: What numbers of numpy are made of, such as the best score of a run.
NUMBERS = tuple(
    type(np.dtype(code)) for code in np.typecodes['AllInteger'] + '?efd'
)

#: What readers of damaged files raise, beside what they say on purpose.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def _statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` of logs, which hold methods of a class."""
    if owner is HistoryBuffer and name in ('mean', 'max', 'min', 'current'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r})')


def _harmless() -> list[Any]:
    """Return what may be unpickled: values, and the logs of mmengine."""
    return [
        *(x for x in get_torch_safe_globals() if x is not getattr),
        (_statistic, 'builtins.getattr'),
        bytes,
        *NUMBERS,
        Namespace,  # of command lines
    ]


def read_torch(
    path: str,
    allow_pickle: bool = False,
    advice: str = ENVIRONMENT_ADVICE,
    map_location: Any = 'cpu',
) -> Any:
    """Return what PyTorch has saved; tensors and plain values only.

    Args:
        path (str): The file.
        allow_pickle (bool): Whether Python objects may be unpickled, which
            executes what the file says. Only for files that are trusted.
            Defaults to False.
        advice (str): How a user who trusts the file says so. Defaults to the
            environment variable that :func:`pickle_allowed` reads.
        map_location (Any): See ``torch.load``. Defaults to 'cpu'.

    Raises:
        UsageError: If it cannot be read or trusted.
    """
    kind = 'a checkpoint of PyTorch'
    try:
        if allow_pickle:
            return _read_trusted(path, map_location)
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(
                path, map_location=map_location, weights_only=True
            )
    except pickle.UnpicklingError as error:
        if not allow_pickle and _is_pickle(path):
            raise UsageError(_untrusted(path, error, advice)) from error
        raise UsageError(unreadable(path, kind, error)) from error
    except DAMAGE as error:
        if 'TorchScript' in str(error) and not allow_pickle:
            raise UsageError(_untrusted(path, error, advice)) from error
        raise UsageError(unreadable(path, kind, error)) from error


def _read_trusted(path: str, map_location: Any) -> Any:
    if _is_zip(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith('/constants.pkl') for name in names):
            # OpenAI's files are programs of TorchScript with their weights.
            return dict(
                torch.jit.load(path, map_location=map_location).state_dict()
            )
    return torch.load(path, map_location=map_location, weights_only=False)


def _is_zip(path: str) -> bool:
    """Return whether a file is an archive, also a damaged one."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # its end names another disk
        return True


def _is_pickle(path: str) -> bool:
    """Return whether a file is whole enough to be what PyTorch saves."""
    with open(path, 'rb') as file:
        return _is_zip(path) or file.read(1) == b'\x80'


def _untrusted(path: str, error: Exception, advice: str) -> str:
    # PyTorch says what it found among several lines of advice, which is not
    # for who only wants weights: it recommends to trust the file.
    found = re.search(
        r'(?:Unsupported|unsupported) \w+:? ?[\w. ]*'
        r'|getattr\(.*?\)|TorchScript archive',
        str(error),
    )
    reason = found[0].strip() if found else 'Python objects'
    return (
        f'{path} holds more than tensors, and loading that would execute '
        f'what the file says ({reason[:200]}); if you trust where it comes '
        f'from, {advice}'
    )


def unreadable(path: str, kind: str, error: Exception) -> str:
    """Return the sentence on a file that is damaged or of another kind.

    Args:
        path (str): The file.
        kind (str): What it should be, with its article.
        error (Exception): What its reader raised.
    """
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if 'weights_only' in first:  # PyTorch's advice to trust the file
        first = 'it does not begin as one'
    return (
        f'{path} should be {kind}, but cannot be read as one '
        f'({first[:200]}); it may be cut off or of another kind: download it '
        'again'
    )


def read_safetensors(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a ``.safetensors`` file, and its metadata.

    Args:
        path (str): The file.

    Raises:
        UsageError: If it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework='pt') as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}
            return weights, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UsageError(
            unreadable(path, 'a .safetensors file', error)
        ) from error


def pickle_allowed() -> bool:
    """Return whether the environment trusts the checkpoints of runs."""
    return os.environ.get(VARIABLE) == '1'


def read_run_checkpoint(path: str, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint of a run: to resume, to test, to start from.

    Args:
        path (str): A file of PyTorch, or a ``.safetensors`` file that
            :func:`.save_checkpoint` wrote: it then gives ``state_dict`` and
            ``meta``.
        map_location (Any): See ``torch.load``. Defaults to 'cpu'.

    Returns:
        dict: Its content.

    Raises:
        UsageError: If it does not exist, cannot be read or trusted, or is no
            checkpoint.
    """
    path = osp.expanduser(path)
    if not osp.isfile(path):
        raise UsageError(
            f'the checkpoint {osp.abspath(path)} should be a file, but there '
            'is none; check the path'
        )
    if path.endswith('.safetensors'):
        weights, metadata = read_safetensors(path)
        return dict(state_dict=weights, meta=_meta(metadata, path))
    check_sums(path)
    content = read_torch(path, pickle_allowed(), map_location=map_location)
    if not isinstance(content, dict):
        raise UsageError(
            f'{path} should hold a dict with a state_dict, but holds '
            f'{type(content).__name__}; it is no checkpoint of a run'
        )
    return content


def check_sums(path: str) -> None:
    """Raise if bytes of a checkpoint changed after it was written.

    PyTorch writes checksums, but does not compare them when it loads.

    Args:
        path (str): The file; one of PyTorch's old form has no checksums.

    Raises:
        UsageError: If they differ.
    """
    if not _is_zip(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except DAMAGE as error:
        raise UsageError(
            unreadable(path, 'a checkpoint of PyTorch', error)
        ) from error
    if damaged is not None:
        raise UsageError(
            f'{path} is damaged: the checksum of {damaged!r} in it is wrong; '
            'take another checkpoint, or a copy of this one'
        )


def _meta(metadata: dict[str, str], path: str) -> dict:
    try:
        meta = json.loads(metadata.get('meta', '{}'))
    except ValueError as error:
        raise UsageError(
            unreadable(path, 'a .safetensors file of a run', error)
        ) from error
    return meta if isinstance(meta, dict) else {}
