"""Checkpoints as ``.safetensors`` files: tensors, and facts as JSON."""

import json
from typing import Any

import numpy as np
from torch import Tensor


def to_bytes(content: dict) -> bytes:
    """Return the ``.safetensors`` form of a checkpoint.

    It holds the weights, and ``meta`` (classes, iteration, versions, config)
    as JSON. Optimizer, schedules and logs have no place in it: it is to be
    tested or built upon, not to be resumed.

    Args:
        content (dict): A checkpoint of a run.
    """
    from safetensors.torch import save

    weights = {
        # Tensors that share memory, or have gaps in it, are not taken.
        name: value.detach().cpu().contiguous().clone()
        for name, value in content['state_dict'].items()
        if isinstance(value, Tensor)
    }
    meta = json.dumps(content.get('meta', {}), default=_plain)
    return save(weights, metadata=dict(format='pt', meta=meta))


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f'{type(value).__name__} has no form in JSON')
