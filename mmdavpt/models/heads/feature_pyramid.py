"""Feature pyramid of a plain ViT for grids of any size."""

from mmseg.models.necks import Feature2Pyramid
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from mmdavpt.registry import MODELS


@MODELS.register_module()
class FeaturePyramid(Feature2Pyramid):
    """MMSegmentation's pyramid of four feature maps, for any grid of patches.

    With patches of ``p`` pixels, the maps have strides of ``p/4``, ``p/2``,
    ``p`` and ``2p`` pixels, from transposed convolutions and max-pooling.
    With odd sides, such as the 37x37 patches of 14 pixels in a crop of 518,
    the parent pools 36 rows and columns, which the head then stretches to
    37. Here the last map has ``ceil(h / 2) x ceil(w / 2)`` cells that cover
    the whole grid. With even sides, both compute the same.

    Args:
        embed_dim (int): Channels of the four feature maps.
        norm_cfg (dict, optional): The norm. Defaults to None,
            ``dict(type='SyncBN')``.
    """

    def __init__(self, embed_dim: int, norm_cfg: dict | None = None) -> None:
        super().__init__(embed_dim, norm_cfg=norm_cfg or dict(type='SyncBN'))
        self.downsample_2x = HalfResolution()


class HalfResolution(nn.Module):
    """Max-pool to half the rows and columns, rounded up."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima, with shape (B, C, ceil(h / 2), ceil(w / 2)).

        Args:
            x (Tensor): A feature map, (B, C, h, w).
        """
        return adaptive_max_pool2d(x, [(n + 1) // 2 for n in x.shape[2:]])
