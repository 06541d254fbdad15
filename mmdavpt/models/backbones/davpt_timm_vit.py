"""Prompted Vision Transformers of timm."""

from collections.abc import Sequence

import timm
from mmengine.model import BaseModule
from timm.layers import PatchEmbed
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmdavpt.errors import UsageError, check_choice, prefix_errors
from mmdavpt.models.pretrained import checked_init_cfg, load_into_timm
from mmdavpt.models.pretrained.sources import check_timm_name
from mmdavpt.models.tuners import Acting
from mmdavpt.registry import MODELS

from .forward_pass import PrefixTokens
from .freezing import warn_of_random_frozen
from .prompted_backbone import PromptedBackbone
from .timm_layer import check_layer

OUT_TYPES = ('raw', 'cls_token', 'featmap', 'avg_featmap', 'pooled')


class _TimmViT(BaseModule):
    """A model of timm with the attributes of a prompted backbone."""

    def __init__(
        self,
        model_name: str,
        pretrained: bool = False,
        img_size: int | tuple[int, int] | None = None,
        out_type: str = 'cls_token',
        out_indices: int | Sequence[int] = -1,
        final_norm: bool = True,
        init_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        if pretrained and init_cfg is None:
            source = f'timm://{model_name}'
            init_cfg = dict(type='Pretrained', checkpoint=source)
        super().__init__(checked_init_cfg(init_cfg))
        self.model_name = model_name
        if img_size is not None:
            kwargs['img_size'] = img_size
        self.vit = _create(model_name, kwargs)
        self.embed_dims = self.vit.embed_dim
        self.img_size = self.vit.patch_embed.img_size
        self.num_extra_tokens = self.vit.num_prefix_tokens
        has_norm = not isinstance(self.vit.norm, nn.Identity)
        self.final_norm = final_norm and has_norm
        check_choice('`out_type`', out_type, OUT_TYPES)
        if out_type == 'cls_token' and self.vit.cls_token is None:
            raise ValueError(
                "the model has no [CLS]; set `out_type` to 'pooled', its own "
                "feature, 'avg_featmap' or 'featmap'"
            )
        self.out_type = out_type
        self.out_indices = out_indices


@MODELS.register_module()
class DAVPTTimmViT(PromptedBackbone, _TimmViT):
    """A frozen Vision Transformer of timm with prompts and tuners.

    Covers timm's ``VisionTransformer`` and ``Eva`` classes: AugReg, DeiT-III,
    MAE, CLIP, SigLIP, DINOv2 with and without registers, DINOv3, EVA-02,
    Perception Encoder and others, with [CLS], registers, both or neither.
    ``vit`` holds timm's model without its classifier. Images may have any
    size: position embeddings are resized, and images whose size is not a
    multiple of the patch are padded with zeros at the right and bottom.

    Prompts are neither rotated nor given positions, like registers.

    Args:
        model_name (str): Name of the model in timm, such as
            'vit_small_patch14_dinov2.lvd142m'.
        pretrained (bool): Whether ``init_weights`` loads the weights of this
            name, which timm downloads. Defaults to False.
        img_size (int | tuple[int, int], optional): Size of images whose
            position embeddings need no resizing. Defaults to None, that of
            the model.
        out_type (str): The kind of the features. Defaults to 'cls_token'.

            - 'raw': all tokens, (B, E+N, C);
            - 'cls_token': [CLS], (B, C);
            - 'featmap': the patches as an image, (B, C, h, w);
            - 'avg_featmap': their mean, after the model's norm for it if it
              has one, (B, C);
            - 'pooled': the model's own pooled feature before its classifier,
              such as that of SigLIP's attention pooling, (B, C).
        out_indices (int | Sequence[int]): Layers whose outputs are features;
            may be negative. Defaults to -1.
        final_norm (bool): Whether the norm after the last layer is applied.
            Defaults to True.
        num_prompts (int | Sequence[int]): See
            :class:`.DAVPTVisionTransformer`, as for the arguments below.
            Defaults to 20.
        propagate (bool | str): Defaults to False.
        bias (Sequence[str]): Defaults to ().
        tuners (Sequence[Mapping]): Defaults to ().
        trainable (Sequence[str]): Defaults to ().
        with_cp (bool): Defaults to False.
        frozen_dtype (str, optional): Defaults to None.
        pool_prompts (bool): Defaults to False.
        init_cfg (dict, optional): Of type 'Pretrained', with ``checkpoint``:
            a file with timm's names for this model, or ``timm://NAME``.
        **kwargs: Further arguments of ``timm.create_model``.

    Attributes:
        normalization (Normalization | None): Normalization of the images that
            the weights were trained on, once they are loaded.

    Raises:
        UsageError: If timm has no such model, or it cannot be prompted.
        ValueError: If an argument does not fit the model.
    """

    @property
    def layers(self) -> nn.Sequential:
        """nn.Sequential: The layers."""
        return self.vit.blocks

    @property
    def cls_token(self) -> Tensor | None:
        """Tensor | None: [CLS] before the first layer."""
        return self.vit.cls_token

    @property
    def output_norm(self) -> nn.Module:
        """nn.Module: The norm after the last layer."""
        return self.vit.norm

    @property
    def patch_projection(self) -> nn.Module:
        """nn.Module: The convolution that embeds patches."""
        return self.vit.patch_embed.proj

    def stem(self) -> tuple[list[nn.Module], list[nn.Parameter]]:
        """Return the modules and further parameters before the layers."""
        after = [self.vit.blocks, *self.tail()]
        modules = [m for m in self.vit.children() if m not in after]
        return modules, list(self.vit.parameters(recurse=False))

    def tail(self) -> dict[nn.Module, bool]:
        """Return the modules after the layers, and whether they run."""
        modules = {
            self.vit.norm: self.normalizes_output,
            self.vit.fc_norm: self.out_type in ('pooled', 'avg_featmap'),
            self.vit.attn_pool: self.out_type == 'pooled',
        }
        modules.pop(None, None)
        return modules

    def init_weights(self) -> None:
        """Load pre-trained weights strictly, if ``init_cfg`` names them.

        All others are initialized on construction.
        """
        if self.init_cfg is None:
            warn_of_random_frozen(self)
        else:
            self.load_pretrained_weights()
        self.adapt_tuners()

    def load_pretrained_weights(self) -> None:
        """Load the weights that an ``init_cfg`` of type 'Pretrained' names.

        Weights that tuning added are unchanged.
        """
        options = {k: v for k, v in self.init_cfg.items() if k != 'type'}
        vit, name = self.vit, self.model_name
        self.normalization = load_into_timm(vit, name, **options)

    def embed(self, images: Tensor, acting: Acting) -> PrefixTokens:
        """Return the input of the first layer, with shape (B, E+N, C)."""
        vit = self.vit
        x = vit.patch_embed(images)  # (B, h, w, C)
        grid = tuple(x.shape[1:3])
        for tuner in acting.get('embed', ()):
            x = tuner.embed(x.flatten(1, 2)).unflatten(1, grid)
        x = vit._pos_embed(x)
        rope = None
        if isinstance(vit, Eva):
            x, rope = x
        else:
            x = vit.patch_drop(x)
        if rope is not None and not vit.rope_mixed:
            rope = [rope] * len(self.layers)
        return PrefixTokens(vit.norm_pre(x), grid, rope)

    def pool(self, x: Tensor) -> Tensor:
        """Return timm's pooled feature, (B, C)."""
        return self.vit.forward_head(x)  # without a classifier

    def format_output(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return a feature of kind ``out_type``, see the class."""
        if self.out_type == 'raw':
            return x
        if self.out_type == 'cls_token':
            return x[:, 0]
        if self.out_type == 'pooled':
            return self.pool(x)
        patches = x[:, self.num_extra_tokens :]
        if self.out_type == 'featmap':
            return patches.transpose(1, 2).unflatten(2, grid)
        return self.vit.fc_norm(patches.mean(dim=1))


def _create(model_name: str, kwargs: dict) -> nn.Module:
    """Return timm's model for images of any size, without its classifier."""
    check_timm_name(model_name)
    options = dict(dynamic_img_size=True, dynamic_img_pad=True, num_classes=0)
    try:
        vit = timm.create_model(model_name, **options, **kwargs)
    except (AssertionError, RuntimeError, TypeError) as error:
        raise UsageError(
            f'timm cannot build the model {model_name} with the options '
            f'{[*options, *kwargs]}: {error}; choose one of the classes '
            'VisionTransformer or Eva'
        ) from error
    for part, kinds in (
        (vit, (VisionTransformer, Eva)),
        (getattr(vit, 'patch_embed', None), (PatchEmbed,)),
    ):
        if type(part) not in kinds:
            raise UsageError(
                f'the model {model_name} has a {type(part).__name__} and '
                'cannot be prompted; choose one of the classes '
                'VisionTransformer or Eva without convolutional stem'
            )
    with prefix_errors(f'the model {model_name}', UsageError):
        for layer in vit.blocks:
            check_layer(layer)
    return vit
