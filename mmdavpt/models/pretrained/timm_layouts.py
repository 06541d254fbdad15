"""Original layouts that timm converts: Google .npz, OpenCLIP, DINOv2, ..."""

import re
from collections.abc import Mapping
from math import isqrt

import numpy as np
import torch
from timm.models import vision_transformer as timm_vit
from torch import Tensor

from mmdavpt.errors import UsageError


def to_timm_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights of an image tower timm's names and shapes.

    Args:
        weights (Mapping[str, Tensor]): Keys without the prefix of the tower,
            as timm, OpenCLIP, MAE, MoCo v3, DINO or DINOv2 name them.

    Returns:
        dict[str, Tensor]: The same weights; position embeddings keep their
        size.
    """
    projection = weights.get('patch_embed.proj.weight', torch.empty(0))
    projection = weights.get('conv1.weight', projection)
    if projection.ndim == 4:
        patch = projection.shape[-1]
    elif projection.ndim == 2:  # early files of timm have a linear projection
        patch = isqrt(projection.shape[1] // 3)
    else:
        return dict(weights)  # damaged, which strict loading reports
    with torch.device('meta'):
        # timm reads the patch size off this model, and nothing else.
        sizes = dict(embed_dim=len(projection), depth=1, num_heads=1)
        options = dict(num_classes=0, pos_embed='none')
        model = timm_vit.VisionTransformer(patch, patch, **sizes, **options)
    # timm expects OpenCLIP's prefix, and no chunks of DINOv2's blocks.
    prefix = 'visual.' if 'class_embedding' in weights else ''
    named = {
        prefix + re.sub(r'^blocks\.\d+\.(\d+)', r'blocks.\1', key): value
        for key, value in weights.items()
    }
    # Adapted are the names of DeiT III's authors.
    return timm_vit.checkpoint_filter_fn(named, model, adapt_layer_scale=True)


def read_google(path: str) -> dict[str, Tensor]:
    """Read an ``.npz`` file of Google's original ViT or AugReg.

    Args:
        path (str): Such as ``ViT-B_16.npz`` of
            https://storage.googleapis.com/vit_models.

    Returns:
        dict[str, Tensor]: The backbone in float32 with timm's names.

    Raises:
        UsageError: If the file holds another model.
    """
    with np.load(path, allow_pickle=False) as file:
        top = 'opt/target/' if 'opt/target/cls' in file.files else ''
        if not {f'{top}embedding/kernel', f'{top}cls'} <= set(file.files):
            raise UsageError(
                f"{path} should hold the arrays 'embedding/kernel' and 'cls' "
                'of an original Vision Transformer, but has '
                f'{file.files[:4]}; convert other models with timm'
            )
        layers = f'{top}Transformer/encoderblock_'
        attention = f'{layers}0/MultiHeadDotProductAttention_1/query/kernel'
        patch, _, _, channels = file[f'{top}embedding/kernel'].shape
        positions = file[f'{top}Transformer/posembed_input/pos_embedding']
        hidden = file[f'{layers}0/MlpBlock_3/Dense_0/bias'].size
        keys = [key for key in file.files if key.startswith(layers)]
        model = timm_vit.VisionTransformer(
            img_size=patch * isqrt(positions.shape[1] - 1),
            patch_size=patch,
            embed_dim=channels,
            depth=len({k.split('/')[-3] for k in keys if 'LayerNorm_0' in k}),
            num_heads=file[attention].shape[1],
            mlp_ratio=hidden / channels,
            num_classes=0,
        )
    model.load_pretrained(path, top)
    return model.state_dict()
