"""Linear segmentation head for frozen backbones (Oquab et al., 2024)."""

from collections.abc import Sequence

from mmcv.cnn import build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmdavpt.registry import MODELS


@MODELS.register_module()
class LinearSegHead(BaseDecodeHead):
    """Normalize each channel over the batch, then classify each patch.

    The baseline of DINOv2 for frozen features. It has ``2 C + C K + K``
    parameters for ``C`` channels and ``K`` classes. MMSegmentation resizes
    the logits to the labels.

    Args:
        in_channels (int | Sequence[int]): Channels of the feature maps. With
            several, set ``in_index`` and
            ``input_transform='resize_concat'``; ``C`` is their sum.
        norm_cfg (dict): The norm. Defaults to ``dict(type='SyncBN')``.
        dropout_ratio (float): Defaults to 0, unlike the parent's.
        **kwargs: See :class:`mmseg.models.BaseDecodeHead`.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        *,
        norm_cfg: dict | None = None,
        dropout_ratio: float = 0,
        **kwargs,
    ) -> None:
        several = isinstance(in_channels, Sequence)
        channels = sum(in_channels) if several else in_channels
        norm_cfg = norm_cfg or dict(type='SyncBN')
        kwargs.update(norm_cfg=norm_cfg, dropout_ratio=dropout_ratio)
        super().__init__(in_channels, channels, **kwargs)
        self.norm = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the logits of each patch, with shape (B, K, h, w).

        Args:
            inputs (Sequence[Tensor]): Feature maps, each (B, C, h, w).
        """
        return self.cls_seg(self.norm(self._transform_inputs(inputs)))
