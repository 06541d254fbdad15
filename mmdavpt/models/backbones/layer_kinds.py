"""The kinds of layers that can be prompted."""

from collections.abc import Mapping

from mmpretrain.models.backbones import vision_transformer as mmpretrain_vit
from timm.models.eva import EvaBlock
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from .layer_view import LayerView
from .mmpretrain_layer import MMPretrainLayer
from .timm_layer import TimmLayer

#: A class of layers to the view of it.
LAYER_VIEWS: dict[type[nn.Module], type[LayerView]] = {
    mmpretrain_vit.TransformerEncoderLayer: MMPretrainLayer,
    Block: TimmLayer,
    EvaBlock: TimmLayer,
}


def view_of(
    layer: nn.Module,
    shifts: Mapping[str, Tensor] | None = None,
    rope: Tensor | None = None,
) -> LayerView:
    """Return the view of a layer.

    Args:
        layer (nn.Module): An instance of a class in :data:`LAYER_VIEWS`.
        shifts (Mapping[str, Tensor], optional): See :class:`.LayerView`.
        rope (Tensor, optional): See :class:`.LayerView`.

    Raises:
        TypeError: If no view of this kind of layer exists.
    """
    for kind, view in LAYER_VIEWS.items():
        if isinstance(layer, kind):
            return view(layer, shifts, rope)
    raise TypeError(
        f'{type(layer).__name__} cannot be prompted; the kinds of layers '
        f'that can are {[kind.__name__ for kind in LAYER_VIEWS]}'
    )
