"""Read pre-trained weights of all forms, without executing them."""

import json
import os.path as osp
import tokenize
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from mmdavpt.checkpoints.reading import (
    DAMAGE,
    read_safetensors,
    read_torch,
    unreadable,
)
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

#: How a user trusts a file that is not only tensors.
PICKLE_ADVICE = (
    'set init_cfg.allow_pickle=True, or convert it once by '
    'tools/model_converters/convert_weights.py --allow-pickle'
)


class Checkpoint(NamedTuple):
    """What was read.

    Attributes:
        weights (dict[str, Tensor]): Under the names of the file.
        normalization (Normalization, optional): Where it is declared.
        beside (Normalization, optional): What a file beside it declares.
        family (str): Whose weights they were before they got mmpretrain's
            names, where that is known.
    """

    weights: dict[str, Tensor]
    normalization: Normalization | None = None
    beside: Normalization | None = None
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
        weights = tensors_of(
            read_torch(path, allow_pickle, PICKLE_ADVICE), path
        )
    return Checkpoint(weights, normalization, _declared_beside(path), family)


def tensors_of(content: Any, path: str) -> dict[str, Tensor]:
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


def _read_google(path: str) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return from_google({key: file[key] for key in file.files})
    except UsageError:
        raise
    except (*DAMAGE, tokenize.TokenError) as error:
        raise UsageError(unreadable(path, 'an .npz file', error)) from error


def _read_safetensors(path: str):
    weights, note = read_safetensors(path)
    try:
        declared = {
            key: json.loads(note[key])
            for key in ('mean', 'std')
            if key in note
        }
    except ValueError:  # another program's metadata
        declared = {}
    return weights, _normalization(declared, path, 1), note.get('family', '')


def _declared_beside(path: str) -> Normalization | None:
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
) -> Normalization | None:
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
