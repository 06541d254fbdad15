"""Read PyTorch and safetensors files without executing them."""

import json
import os
import os.path as osp
import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import get_torch_safe_globals
from safetensors import safe_open
from torch import Tensor

from mmdavpt.errors import UsageError

#: If set to 1, checkpoints of runs may be unpickled. It is not a config key:
#: the author of a config must not decide what its users trust.
VARIABLE = 'MMDAVPT_ALLOW_PICKLE'
ENVIRONMENT_ADVICE = f'set {VARIABLE}=1 in the environment of this command'

#: NumPy's types of numbers, such as the best score of a run.
NUMBERS = [type(np.dtype(c)) for c in np.typecodes['AllInteger'] + '?efd']


def _getattr_of_logs(owner: Any, name: str) -> Any:
    """Replace ``getattr`` in pickled logs, which contain methods."""
    if owner is HistoryBuffer and name in ('mean', 'max', 'min', 'current'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r})')


def _safe_globals() -> list[Any]:
    """Return what may be unpickled: values, and the logs of mmengine."""
    return [
        *(x for x in get_torch_safe_globals() if x is not getattr),
        (_getattr_of_logs, 'builtins.getattr'),
        bytes,
        *NUMBERS,
        Namespace,  # of command lines
    ]


def read_torch(
    path: str,
    allow_pickle: bool = False,
    advice: str = ENVIRONMENT_ADVICE,
    map_location: Any = 'cpu',
    mmap: bool = False,
) -> Any:
    """Read a file of PyTorch; only tensors and plain values.

    Args:
        path (str): The file.
        allow_pickle (bool): Whether Python objects may be unpickled, which can
            execute code in the file. Only for trusted files. Defaults to
            False.
        advice (str): How to trust a file, for the message. Defaults to the
            environment variable ``MMDAVPT_ALLOW_PICKLE``.
        map_location (Any): See ``torch.load``. Defaults to 'cpu'.
        mmap (bool): Whether to map the file into memory. Defaults to False.

    Raises:
        UsageError: If the file cannot be read, or holds other objects.
    """
    with damage_reported(path, 'a PyTorch checkpoint'):
        if allow_pickle:
            content = torch.load(path, map_location, weights_only=False)
            # OpenAI publishes TorchScript programs that contain the weights.
            if isinstance(content, torch.jit.ScriptModule):
                content = dict(content.state_dict())
            return content
        try:
            with torch.serialization.safe_globals(_safe_globals()):
                options = dict(weights_only=True, mmap=mmap)
                return torch.load(path, map_location, **options)
        except (pickle.UnpicklingError, RuntimeError) as error:
            if 'TorchScript' in str(error) or (
                isinstance(error, pickle.UnpicklingError)
                and _looks_pickled(path)
            ):
                raise UsageError(_untrusted(path, error, advice)) from error
            raise


def _looks_pickled(path: str) -> bool:
    """Return whether a file is intact enough to be one of PyTorch."""
    with open(path, 'rb') as file:
        return zipfile.is_zipfile(path) or file.read(1) == b'\x80'


def _untrusted(path: str, error: Exception, advice: str) -> str:
    # PyTorch's message recommends to trust the file: quote only what it found.
    found = re.search(
        r'(?:Unsupported|unsupported) \w+:? ?[\w. ]*'
        r'|getattr\(.*?\)|TorchScript archive',
        str(error),
    )
    reason = found[0].strip() if found else 'Python objects'
    return (
        f'{path} contains more than tensors, and loading it would execute '
        f'code from the file ({reason[:200]}); if you trust its source, '
        f'{advice}'
    )


@contextmanager
def damage_reported(path: str, kind: str) -> Iterator[None]:
    """Report a file that is damaged or of another type.

    Args:
        path (str): The file.
        kind (str): The expected type of file, with its article.

    Raises:
        UsageError: If the block fails: readers of damaged files raise errors
            of many types.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if 'weights_only' in first:  # PyTorch's advice to trust the file
            first = 'its first bytes are wrong'
        raise UsageError(
            f'{path} should be {kind}, but cannot be read as one '
            f'({first[:200]}); it may be truncated or of another type: '
            'download it again'
        ) from error


def read_safetensors(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a ``.safetensors`` file.

    Args:
        path (str): The file.

    Raises:
        UsageError: If it cannot be read.
    """
    with (
        damage_reported(path, 'a .safetensors file'),
        safe_open(path, framework='pt') as file,
    ):
        weights = {key: file.get_tensor(key) for key in file.keys()}
        return weights, file.metadata() or {}


def read_run_checkpoint(path: str, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint of a run, to resume, test or start from it.

    Args:
        path (str): A file of PyTorch; or a ``.safetensors`` file that
            :func:`.save_checkpoint` wrote, which gives ``state_dict`` and
            ``meta``.
        map_location (Any): See ``torch.load``. Defaults to 'cpu'.

    Returns:
        dict: Its content.

    Raises:
        UsageError: If it is missing, damaged, not trusted or no checkpoint.
    """
    path = osp.expanduser(path)
    if not osp.isfile(path):
        raise UsageError(
            f'the checkpoint {osp.abspath(path)} does not exist; check the '
            'path'
        )
    if path.endswith('.safetensors'):
        weights, metadata = read_safetensors(path)
        with damage_reported(path, 'a .safetensors file of a run'):
            meta = json.loads(metadata.get('meta', '{}'))
        meta = meta if isinstance(meta, dict) else {}  # another program's
        return dict(state_dict=weights, meta=meta)
    check_sums(path)
    trusted = os.environ.get(VARIABLE) == '1'
    content = read_torch(path, trusted, map_location=map_location)
    if not isinstance(content, dict):
        raise UsageError(
            f'{path} should contain a dict with a state_dict, but contains '
            f'{type(content).__name__}: it is not a checkpoint of a run'
        )
    return content


def check_sums(path: str) -> None:
    """Check that no byte of a checkpoint changed since it was written.

    PyTorch writes checksums, but does not compare them when it loads. Its old
    format has none.

    Args:
        path (str): The file.

    Raises:
        UsageError: If they differ.
    """
    with damage_reported(path, 'a PyTorch checkpoint'):
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise UsageError(
                f'{path} is damaged: the checksum of {damaged!r} in it is '
                'wrong; use another checkpoint, or another copy of this one'
            )
