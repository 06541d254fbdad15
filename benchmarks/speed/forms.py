"""The forms of a model to compare."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from mmpretrain.models import VisionTransformer
from torch import Tensor

from mmdavpt.models import DAVPTVisionTransformer


class ConcatenatedViT(DAVPTVisionTransformer):
    """VPT-Deep as published: prompts run through the layers as tokens.

    Each layer sees ``[cls, prompts, patches]``; the next one replaces the
    prompt outputs by its own prompts. Follows the authors'
    ``forward_deep_prompt`` (KMnP/vpt, src/models/vit_prompt/vit.py), with
    MMPretrain's layers and their fused attention.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features of ``out_indices``.

        Args:
            x (Tensor): Images with shape (B, 3, H, W).
        """
        x, grid, *_ = self.embed(x, {})
        extra, before, outs = self.num_extra_tokens, 0, []
        for i in range(self.num_used_layers):
            prompts = self.prompts[str(i)].expand(x.shape[0], -1, -1)
            x = torch.cat((x[:, :extra], prompts, x[:, extra + before :]), 1)
            before = prompts.shape[1]
            x = self.layers[i](x)
            if i == self.num_layers - 1 and self.final_norm:
                x = self.ln1(x)
            if i in self.out_indices:
                features = (
                    x
                    if self.out_type == 'cls_token'
                    else torch.cat((x[:, :extra], x[:, extra + before :]), 1)
                )
                outs.append(self._format_output(features, grid))
        return tuple(outs)


def _unchanged(num_layers: int, num_prompts: int) -> dict:
    return {}


def _upper_half(num_layers: int, num_prompts: int) -> dict:
    lower = num_layers // 2
    upper = num_layers - lower
    return dict(num_prompts=(0,) * lower + (num_prompts,) * upper)


@dataclass(frozen=True)
class Form:
    """One way to tune or to run a model.

    Attributes:
        note (str): A description.
        backbone (type): Defaults to :class:`DAVPTVisionTransformer`.
        guided (bool): Whether prompts are guided. Defaults to False.
        cached (bool): Whether training starts from the tokens that enter the
            first tuned layer. Defaults to False.
        changes (Callable): From the numbers of layers and prompts to changes
            of the config's backbone. Defaults to none.
    """

    note: str
    backbone: type = DAVPTVisionTransformer
    guided: bool = False
    cached: bool = False
    changes: Callable[[int, int], dict] = _unchanged


FORMS: dict[str, Form] = {
    'plain': Form(
        "MMPretrain's ViT without prompts; only the head trains",
        VisionTransformer,
    ),
    'concatenated': Form(
        'VPT-Deep as published, prompts as tokens', ConcatenatedViT
    ),
    'vpt': Form('VPT-Deep, prompts as a key/value prefix'),
    'vpt-maps': Form(
        'as vpt, from the mean of the feature map of the last layer',
        changes=lambda layers, p: dict(out_type='featmap'),
    ),
    'davpt': Form('as vpt, with guided prompts', guided=True),
    'davpt-plus': Form(
        'as davpt, with K and V bias',
        guided=True,
        changes=lambda layers, p: dict(bias=('k', 'v')),
    ),
    'vpt-upper': Form(
        'as vpt, with prompts in the upper half of the layers',
        changes=_upper_half,
    ),
    'vpt-upper-cached': Form(
        'as vpt-upper, from cached tokens',
        cached=True,
        changes=_upper_half,
    ),
    'vpt-checkpoint': Form(
        'as vpt, with layers recomputed in backward',
        changes=lambda layers, p: dict(with_cp=True),
    ),
}
