"""Moment probing head for classification (Gao et al., ICCV 2023)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from mmpretrain.models import ClsHead
from torch import Tensor, nn

from mmdavpt.errors import UsageError
from mmdavpt.registry import MODELS


@MODELS.register_module()
class MomentProbingHead(ClsHead):
    r"""Classify [CLS] and second-order moments of the patches.

    With patches :math:`x_n` and ``H`` heads :math:`h`, parts of equal width
    ``d`` of the projected channels,

    .. math::
        z_{n,h} = \mathrm{LN}\big((W x_n + b)_h\big) - m_h, \quad
        S_h = \frac{1}{N} \sum_n z_{n,h} z_{n,h+1}^T, \quad
        y = \frac{f(x_{cls}) + g(\mathrm{conv}(\hat S_1, ..., \hat S_{H-1}))}
        {2}

    where :math:`m_h` is the mean over all patches and channels, the columns
    of :math:`\hat S_h` are those of :math:`S_h` with unit length, and conv is
    two convolutions of ``H - 1`` channels, 3 x 3 with stride 2 and without
    padding or bias, with a GELU between. f and g are linear. This is MHC3 of
    the paper (section 3.1) as in its released code (mingzeG/Moment-Probing,
    models/representation/MP.py), also the initial values. On ViT-B the head
    has 394,146 parameters, and 3,653 for each class.

    The features are all tokens: set ``out_type='raw'`` in the backbone. For a
    backbone without [CLS], the mean of the patches takes its place, as in the
    paper's convolutional models. Registers are not used.

    Args:
        num_classes (int): The number of classes ``K``.
        in_channels (int): Channels of a token ``C``.
        hidden_dim (int): Channels of the projection. Defaults to 512.
        num_heads (int): The number of heads ``H``. Defaults to 4.
        init_cfg (dict, optional): Defaults to a truncated normal distribution
            with standard deviation 0.02 for linear layers.
        **kwargs: See :class:`mmpretrain.models.ClsHead`.

    Attributes:
        num_extra_tokens (int | None): Tokens before the patches. None before
            :meth:`attach`.
        has_cls (bool): Whether the first token is [CLS].

    Raises:
        ValueError: If the numbers do not fit each other.
    """

    num_extra_tokens: int | None = None
    has_cls = True

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        hidden_dim: int = 512,
        num_heads: int = 4,
        init_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        normal = dict(type='TruncNormal', layer='Linear', std=0.02)
        super().__init__(init_cfg=init_cfg or normal, **kwargs)
        width, rest = divmod(hidden_dim, max(num_heads, 1))
        if num_heads < 2 or rest or width < 7:
            raise ValueError(
                '`hidden_dim` should be at least 7 times `num_heads` and a '
                'multiple of it, which should be 2 or more, but got '
                f'hidden_dim={hidden_dim} and num_heads={num_heads}'
            )
        self.num_classes = num_classes
        self.num_heads = num_heads
        maps = num_heads - 1
        self.proj = nn.Linear(in_channels, hidden_dim)
        self.norm = nn.LayerNorm(width)
        self.convs = nn.Sequential(
            nn.Conv2d(maps, maps, 3, stride=2, bias=False),
            nn.GELU(),
            nn.Conv2d(maps, maps, 3, stride=2, bias=False),
        )
        size = ((width - 1) // 2 - 1) // 2
        self.fc = nn.Linear(in_channels, num_classes)
        self.fc_moments = nn.Linear(maps * size**2, num_classes)

    def attach(self, backbone: nn.Module) -> None:
        """Learn from the backbone which of its tokens are patches.

        The classifier calls it.

        Args:
            backbone (nn.Module): The backbone.

        Raises:
            UsageError: If its features are not all tokens.
        """
        if backbone.out_type != 'raw':
            raise UsageError(
                f'{type(self).__name__} needs [CLS] and patches, but '
                f'`model.backbone.out_type` is {backbone.out_type!r}; set it '
                "to 'raw'"
            )
        self.num_extra_tokens = backbone.num_extra_tokens
        self.has_cls = backbone.cls_token is not None

    def pre_logits(self, feats: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return [CLS], (B, C), and the moments, (B, (H - 1) S^2).

        Args:
            feats (tuple[Tensor, ...]): Features, of which the last is all
                tokens, (B, E+N, C).

        Raises:
            UsageError: If no backbone was attached.
        """
        if self.num_extra_tokens is None:
            raise UsageError(
                f'{type(self).__name__} does not know which tokens are '
                'patches; use it in a mmdavpt.DAVPTImageClassifier, or call '
                'its attach(backbone)'
            )
        tokens = feats[-1]
        patches = tokens[:, self.num_extra_tokens :]
        first = tokens[:, 0] if self.has_cls else patches.mean(1)
        heads = self.proj(patches).unflatten(-1, (self.num_heads, -1))
        heads = self.norm(heads)  # (B, N, H, d)
        heads = (heads - heads.mean((1, 3), keepdim=True)).unbind(2)
        # Divided first, so that float16 does not overflow in the sum.
        number = patches.shape[1]
        moments = [x.mT @ (y / number) for x, y in pairwise(heads)]
        moments = F.normalize(torch.stack(moments, dim=1), dim=2)
        return first, self.convs(moments).flatten(1)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the logits, (B, K).

        Args:
            feats (tuple[Tensor, ...]): See :meth:`pre_logits`.
        """
        first, second = self.pre_logits(feats)
        return (self.fc(first) + self.fc_moments(second)) / 2
