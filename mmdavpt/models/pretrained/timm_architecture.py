"""Compare a backbone with the architecture that timm names for its weights."""

import timm
import torch
from timm.layers import Attention, Mlp, PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from mmdavpt.errors import UsageError

from .naming import NamedWeights

#: Setting of a backbone for weights of OpenAI's CLIP.
QUICK_GELU = "layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU'))"


def build_on_meta(name: object, **kwargs) -> nn.Module | None:
    """Build a model of timm without memory; None if timm has no such model.

    Args:
        name (object): Name of the model.
        **kwargs: Its arguments.
    """
    if not isinstance(name, str) or not timm.is_model(name):
        return None
    with torch.device('meta'):
        return timm.create_model(name, pretrained=False, **kwargs)


def check_architecture(model: nn.Module, backbone: nn.Module) -> None:
    """Refuse weights of a model that computes something else.

    Weights may have the names and shapes of a plain ViT although their model
    has rotary embeddings, another activation or another number of heads.

    Args:
        model (nn.Module): timm's model of the weights.
        backbone (nn.Module): A VisionTransformer in mmpretrain's names.

    Raises:
        UsageError: If the two differ; the message names the difference.
    """
    if other := _difference(model, backbone):
        raise UsageError(f'the weights belong to a model of timm with {other}')


def _difference(model: nn.Module, backbone: nn.Module) -> str:
    advice = 'choose weights of a plain VisionTransformer'
    if type(model) is not VisionTransformer:
        return f'the class {type(model).__name__}; {advice}'
    block, layer = model.blocks[0], backbone.layers[0]
    parts = (model.patch_embed, block, block.attn)
    for part, plain in zip(parts, (PatchEmbed, Block, Attention), strict=True):
        if type(part) is not plain:
            return f'{type(part).__name__}, not {plain.__name__}; {advice}'
    heads = block.attn.num_heads
    if heads != layer.attn.num_heads:
        return (
            f'{heads} heads, but the backbone has {layer.attn.num_heads}; set '
            f'num_heads={heads} in its arch'
        )
    if type(block.mlp) is Mlp:
        activation = type(block.mlp.act).__name__
        if activation not in {type(m).__name__ for m in layer.ffn.modules()}:
            if activation == 'QuickGELU':
                advice = f'set {QUICK_GELU} of the backbone'
            return f'the activation {activation}; {advice}'
    return ''


def functions_of(
    named: NamedWeights, model: nn.Module | None
) -> tuple[float | None, str | None]:
    """Return what weights do not show of the model that they belong to.

    Args:
        named (NamedWeights): The weights.
        model (nn.Module, optional): timm's model of the weights, if known.

    Returns:
        tuple[float | None, str | None]: Epsilon of the layer norms and name
        of the activation, None if unknown.
    """
    if model is not None:
        block = model.blocks[0]
        return block.norm1.eps, type(getattr(block.mlp, 'act', None)).__name__
    return named.family.norm_eps, named.family.activation
