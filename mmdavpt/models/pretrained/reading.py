"""Read checkpoints of all forms without executing what is in them."""

import json
import os.path as osp
import pickle
import re
import struct
import tokenize
import zipfile
import zlib
from argparse import Namespace
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import get_torch_safe_globals
from torch import Tensor

from mmdavpt.errors import UsageError

from .families import HALF, Normalization
from .google import from_google
from .sources import fetch, is_remote

#: Where training scripts keep the weights in what they save; the first counts.
CONTAINERS = (
    'state_dict',
    'model',
    'teacher',
    'model_state_dict',
    'module',
    'net',
)

#: What timm and others call the weights of a repository on the Hub.
HUB_NAMES = ('model.safetensors', 'pytorch_model.bin')

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


class Checkpoint(NamedTuple):
    """What was read.

    Attributes:
        weights (Dict[str, Tensor]): Under the names of the file.
        normalization (Normalization, optional): Where it is declared.
        beside (Normalization, optional): What a file beside it declares.
        family (str): Whose weights they were before they got mmpretrain's
            names, where that is known.
    """

    weights: Dict[str, Tensor]
    normalization: Optional[Normalization] = None
    beside: Optional[Normalization] = None
    family: str = ''


def read_checkpoint(source: str, allow_pickle: bool = False) -> Checkpoint:
    """Read the weights of a checkpoint.

    Args:
        source (str): A file (``.pth``, ``.pt``, ``.bin``, ``.tar``,
            ``.safetensors``, ``.npz``), a URL, ``timm://NAME`` or
            ``hf://REPO/FILE``.
        allow_pickle (bool): Whether Python objects may be unpickled, which
            executes what the file says. Only for files that are trusted.
            Defaults to False: tensors and plain values only.

    Raises:
        FileNotFoundError: If the file does not exist.
        UsageError: If it cannot be had, read or trusted, or holds no tensors.
    """
    normalization, family = None, ''
    if is_remote(source):
        path, weights, declared = fetch(source)
        if declared is not None:
            normalization = Normalization(*declared, source)
        if weights is not None:
            return Checkpoint(weights, normalization)
    else:
        path = osp.expanduser(source)
        if not osp.isfile(path):
            raise FileNotFoundError(
                'the pre-trained checkpoint should be a file, but there is '
                f'none at {osp.abspath(path)}; download it, and set '
                'model.backbone.init_cfg.checkpoint to its path'
            )
    if path.endswith('.npz'):
        weights, family = _read_google(path), 'Google'
        normalization = normalization or Normalization(*HALF, 'Google')
    elif path.endswith('.safetensors'):
        weights, declared, family = _read_safetensors(path)
        normalization = normalization or declared
    else:
        weights = tensors_of(read_torch(path, allow_pickle), path)
    return Checkpoint(weights, normalization, _declared_beside(path), family)


def tensors_of(content: Any, path: str) -> Dict[str, Tensor]:
    """Return the weights in what a training script has saved.

    Args:
        content (Any): What the file holds.
        path (str): Its path, for the message.

    Raises:
        UsageError: If there are no tensors.
    """
    for _ in range(3):  # such as {'state_dict': {'model': {...}}}
        if not isinstance(content, Mapping):
            break
        weights = {
            str(key): value
            for key, value in content.items()
            if isinstance(value, Tensor)
        }
        inside = [
            content[key]
            for key in CONTAINERS
            if isinstance(content.get(key), Mapping)
        ]
        if weights and not inside:
            return weights
        if not inside:
            break
        content = inside[0]
    keys = list(content) if isinstance(content, Mapping) else []
    raise UsageError(
        f'{path} should hold named tensors, also under one of {CONTAINERS}, '
        f'but holds {f"the keys {keys[:6]}" if keys else type(content)}'
    )


def _read_google(path: str) -> Dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return from_google({key: file[key] for key in file.files})
    except UsageError:
        raise
    except (*DAMAGE, tokenize.TokenError) as error:
        raise UsageError(_unreadable(path, 'an .npz file', error)) from error


def _read_safetensors(path: str):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework='pt') as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}
            note = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UsageError(
            _unreadable(path, 'a .safetensors file', error)
        ) from error
    try:
        declared = {
            key: json.loads(note[key])
            for key in ('mean', 'std')
            if key in note
        }
    except ValueError:  # another program's metadata
        declared = {}
    return weights, _normalization(declared, path, 1), note.get('family', '')


def _statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` of logs, which hold methods of a class."""
    if owner is HistoryBuffer and name in ('mean', 'max', 'min', 'current'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r})')


def _harmless() -> List[Any]:
    """Return what may be unpickled: values, and the logs of mmengine."""
    return [
        *(x for x in get_torch_safe_globals() if x is not getattr),
        (_statistic, 'builtins.getattr'),
        bytes,
        np.dtypes.Float32DType,
        Namespace,  # of command lines
    ]


def read_torch(path: str, allow_pickle: bool = False) -> Any:
    """Return what PyTorch has saved; tensors and plain values only.

    Args:
        path (str): The file.
        allow_pickle (bool): See :func:`read_checkpoint`. Defaults to False.

    Raises:
        UsageError: If it cannot be read or trusted.
    """
    kind = 'a checkpoint of PyTorch'
    try:
        if allow_pickle:
            return _read_trusted(path)
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        if not allow_pickle and _is_pickle(path):
            raise UsageError(_untrusted(path, error)) from error
        raise UsageError(_unreadable(path, kind, error)) from error
    except DAMAGE as error:
        if 'TorchScript' in str(error) and not allow_pickle:
            raise UsageError(_untrusted(path, error)) from error
        raise UsageError(_unreadable(path, kind, error)) from error


def _read_trusted(path: str) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith('/constants.pkl') for name in names):
            # OpenAI's files are programs of TorchScript with their weights.
            return dict(torch.jit.load(path, map_location='cpu').state_dict())
    return torch.load(path, map_location='cpu', weights_only=False)


def _is_pickle(path: str) -> bool:
    """Return whether a file is whole enough to be what PyTorch saves."""
    with open(path, 'rb') as file:
        return zipfile.is_zipfile(path) or file.read(1) == b'\x80'


def _untrusted(path: str, error: Exception) -> str:
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
        'from, set init_cfg.allow_pickle=True, or convert it once by '
        'tools/model_converters/convert_weights.py --allow-pickle'
    )


def _unreadable(path: str, kind: str, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f'{path} should be {kind}, but cannot be read as one '
        f'({first[:200]}); it may be cut off or of another kind: download it '
        'again'
    )


def _declared_beside(path: str) -> Optional[Normalization]:
    """Return what timm's ``config.json`` beside a file declares."""
    config = osp.join(osp.dirname(path), 'config.json')
    # Only beside the names of the Hub is it sure to be of this file.
    if osp.basename(path) not in HUB_NAMES or not osp.isfile(config):
        return None
    with open(config, encoding='utf-8') as file:
        try:
            content = json.load(file)
        except ValueError:  # not JSON, so not timm's
            return None
    if not isinstance(content, dict):
        return None
    declared = content.get('pretrained_cfg')
    declared = declared if isinstance(declared, dict) else content
    return _normalization(declared, config, scale=255)


def _normalization(
    declared: Mapping, source: str, scale: float
) -> Optional[Normalization]:
    mean, std = declared.get('mean'), declared.get('std')
    if not all(
        isinstance(values, list)
        and len(values) == 3
        and all(isinstance(value, (int, float)) for value in values)
        for values in (mean, std)
    ):
        return None
    return Normalization(
        tuple(scale * float(x) for x in mean),
        tuple(scale * float(x) for x in std),
        source,
    )
