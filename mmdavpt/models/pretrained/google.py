"""The ``.npz`` files of Google's original Vision Transformers."""

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mmdavpt.errors import UsageError

#: Parts of a layer: name in the file, name here.
LAYER_PARTS = {
    'LayerNorm_0': 'ln1',
    'LayerNorm_2': 'ln2',
    'MlpBlock_3/Dense_0': 'ffn.layers.0.0',
    'MlpBlock_3/Dense_1': 'ffn.layers.1',
}
ATTENTION = 'MultiHeadDotProductAttention_1'
MARKER = 'embedding/kernel'


def from_google(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Give the arrays of an original ViT mmpretrain's names and layout.

    JAX keeps a linear map as (in, out), heads apart as (C, heads, C / heads)
    and (heads, C / heads, C), and convolutions as (h, w, in, out).

    Args:
        arrays (Mapping[str, np.ndarray]): As in ``ViT-B_16.npz`` and the
            AugReg files of https://storage.googleapis.com/vit_models.

    Returns:
        dict[str, Tensor]: The backbone in float32, and heads under the
        file's own names.

    Raises:
        UsageError: If they are of another model.
    """
    arrays = {
        key.removeprefix('opt/target/'): np.asarray(value, dtype=np.float32)
        for key, value in arrays.items()
        if np.issubdtype(value.dtype, np.floating)
    }
    if MARKER not in arrays or 'cls' not in arrays:
        raise UsageError(
            'an .npz file should hold an original Vision Transformer with '
            f"{MARKER!r} and 'cls', but has keys such as "
            f'{list(arrays)[:4]}; other models of big_vision are not known '
            'here: convert them with timm'
        )
    state = {
        'cls_token': arrays.pop('cls'),
        'patch_embed.projection.weight': arrays.pop(MARKER).transpose(
            3, 2, 0, 1
        ),
        'patch_embed.projection.bias': arrays.pop('embedding/bias'),
    }
    top = {
        'Transformer/posembed_input/pos_embedding': 'pos_embed',
        'Transformer/encoder_norm/scale': 'ln1.weight',
        'Transformer/encoder_norm/bias': 'ln1.bias',
    }
    for key in list(arrays):
        match = re.fullmatch(r'Transformer/encoderblock_(\d+)/(.+)', key)
        if key in top:
            state[top[key]] = arrays.pop(key)
        elif match and ATTENTION not in key:
            part, _, kind = match[2].rpartition('/')
            if part in LAYER_PARTS:
                name = f'layers.{match[1]}.{LAYER_PARTS[part]}'
                value = arrays.pop(key)
                state[f'{name}.{"bias" if kind == "bias" else "weight"}'] = (
                    value.T if kind == 'kernel' else value
                )
    layers = {
        int(match[1])
        for key in arrays
        if (match := re.match(r'Transformer/encoderblock_(\d+)/', key))
    }
    for layer in layers:
        state.update(_attention(arrays, layer))
    # What is left keeps its name: heads, which are named and not loaded.
    state.update(arrays)
    return {
        name: torch.from_numpy(np.ascontiguousarray(value))
        for name, value in state.items()
    }


def _attention(
    arrays: dict[str, np.ndarray], layer: int
) -> dict[str, np.ndarray]:
    """Take one layer's attention out of the arrays, with fused q, k, v."""
    place = f'Transformer/encoderblock_{layer}/{ATTENTION}'
    parts = ('query', 'key', 'value')
    wanted = [f'{place}/{p}/{k}' for p in parts for k in ('kernel', 'bias')]
    wanted += [f'{place}/out/kernel', f'{place}/out/bias']
    missing = [key for key in wanted if key not in arrays]
    if missing:
        raise UsageError(
            f'layer {layer} of the .npz file should have {len(wanted)} arrays '
            f'of attention, but lacks {missing}; the file is of another '
            'model, or was cut off'
        )
    taken = {key: arrays.pop(key) for key in wanted}
    kernels = [taken[f'{place}/{part}/kernel'] for part in parts]
    name = f'layers.{layer}.attn'
    return {
        # (C, heads, C / heads) -> (C, C) -> (out, in)
        f'{name}.qkv.weight': np.concatenate(
            [kernel.reshape(kernel.shape[0], -1).T for kernel in kernels]
        ),
        f'{name}.qkv.bias': np.concatenate(
            [taken[f'{place}/{part}/bias'].reshape(-1) for part in parts]
        ),
        # (heads, C / heads, C) -> (C, C) -> (out, in)
        f'{name}.proj.weight': taken[f'{place}/out/kernel']
        .reshape(-1, taken[f'{place}/out/kernel'].shape[-1])
        .T,
        f'{name}.proj.bias': taken[f'{place}/out/bias'],
    }
