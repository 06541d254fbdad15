"""Read pre-trained weights from any kind of file, without executing it."""

import json
import os.path as osp
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from mmdavpt.checkpoints import read_torch
from mmdavpt.checkpoints.reading import damage_reported, read_safetensors
from mmdavpt.errors import UsageError

from .families import HALF, Normalization, normalization_of
from .naming import read_google
from .sources import build_on_meta, fetch_file, timm_model

#: Keys under which training scripts save the weights, by precedence.
CONTAINERS = ('state_dict', 'model', 'teacher')
CONTAINERS += ('model_state_dict', 'module', 'net')

#: Names of weight files in a repository on the Hugging Face Hub.
HUB_NAMES = ('model.safetensors', 'pytorch_model.bin')

#: How a user trusts a file that holds more than tensors.
PICKLE_ADVICE = (
    'set init_cfg.allow_pickle=True, or convert it once with '
    'tools/model_converters/convert_weights.py --allow-pickle'
)


#: What to do without a file, in a config.
SET_PATH = 'set model.backbone.init_cfg.checkpoint to its path'


class Checkpoint(NamedTuple):
    """Weights of a file and their declared properties.

    Attributes:
        weights (dict[str, Tensor]): Under the names of the file.
        normalization (Normalization, optional): Declared by timm's registry,
            the file, or the ``config.json`` next to it.
        model (nn.Module, optional): timm's model of the architecture that
            the registry or ``config.json`` names.
    """

    weights: dict[str, Tensor]
    normalization: Normalization | None = None
    model: nn.Module | None = None


def read_checkpoint(source: str, allow_pickle: bool = False) -> Checkpoint:
    """Read the weights of a checkpoint.

    Args:
        source (str): A file (``.pth``, ``.pt``, ``.bin``, ``.tar``,
            ``.safetensors``, ``.npz``), a URL, ``timm://NAME`` or
            ``hf://OWNER/REPO/FILE``.
        allow_pickle (bool): Whether to unpickle Python objects, which
            executes code in the file. Only for trusted files. Defaults to
            False: tensors and plain values only.

    Raises:
        FileNotFoundError: If the file does not exist.
        UsageError: If it cannot be fetched, read or trusted, or holds no
            tensors.
    """
    if source.startswith('timm://'):
        model = timm_model(source.removeprefix('timm://'))
        declared = normalization_of(model.pretrained_cfg, source)
        return Checkpoint(model.state_dict(), declared, model=model)
    path = fetch_file(source) if '://' in source else osp.expanduser(source)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'the pre-trained checkpoint {osp.abspath(path)} does not exist; '
            f'download it, and {SET_PATH}'
        )
    normalization = None
    if path.endswith('.npz'):
        with damage_reported(path, 'an .npz file'):
            weights = read_google(path)
        normalization = Normalization(*HALF, 'Google')
    elif path.endswith('.safetensors'):
        weights, metadata = read_safetensors(path)
        if 'family' in metadata and 'mean' in metadata:
            # convert_weights.py wrote it
            mean, std = (json.loads(metadata[key]) for key in ('mean', 'std'))
            normalization = Normalization(tuple(mean), tuple(std), path)
    else:
        content = read_torch(path, allow_pickle, PICKLE_ADVICE)
        weights = find_tensors(content, path)
    declared, model = _read_config(path)
    return Checkpoint(weights, normalization or declared, model)


def find_tensors(content: Any, path: str) -> dict[str, Tensor]:
    """Return the weights in the content that a training script saved.

    Args:
        content (Any): Content of the file.
        path (str): Its path, for the message.

    Raises:
        UsageError: If there are no tensors.
    """
    while isinstance(content, Mapping):
        inside = (content.get(key) for key in CONTAINERS)
        inner = next((c for c in inside if isinstance(c, Mapping)), None)
        if inner is None:
            break
        content = inner  # such as of {'state_dict': {'model': {...}}}
    keys = list(content) if isinstance(content, Mapping) else []
    named = [key for key in keys if isinstance(content[key], Tensor)]
    weights = {str(key): content[key] for key in named}
    if not weights:
        raise UsageError(
            f'{path} should hold named tensors, also under one of '
            f'{CONTAINERS}, but holds '
            f'{f"the keys {keys[:6]}" if keys else type(content)}'
        )
    return weights


def _read_config(path: str) -> tuple[Normalization | None, nn.Module | None]:
    """Return what timm's ``config.json`` next to a file declares."""
    config = osp.join(osp.dirname(path), 'config.json')
    # Files with other names may lie next to the config of another model.
    if osp.basename(path) not in HUB_NAMES or not osp.isfile(config):
        return None, None
    try:
        with open(config, encoding='utf-8') as file:
            content = dict(json.load(file))
    except (TypeError, ValueError):  # another program's file
        return None, None
    declared = content.get('pretrained_cfg') or content
    arguments = content.get('model_args') or {}
    model = build_on_meta(content.get('architecture'), **arguments)
    return normalization_of(declared, config), model
