"""Prompted Vision Transformer for classification and segmentation."""

from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from mmdavpt.models.pretrained import checked_init_cfg, load_pretrained
from mmdavpt.models.tuners import Acting
from mmdavpt.registry import MODELS

from .forward_pass import PrefixTokens
from .freezing import warn_of_random_frozen
from .prompted_backbone import PromptedBackbone


class _FrozenViT(VisionTransformer):
    """MMPretrain's model with the attributes of a prompted backbone."""

    def __init__(
        self, *args, pool_norm: bool = True, frozen_stages: int = -1, **kwargs
    ) -> None:
        if frozen_stages != -1:
            raise ValueError(
                f'`frozen_stages={frozen_stages}` has no effect, since all '
                'parameters that `trainable` does not name are frozen; '
                'remove it'
            )
        kwargs['init_cfg'] = checked_init_cfg(kwargs.get('init_cfg'))
        if isinstance(kwargs.get('out_indices'), Sequence):
            # The parent writes resolved indices into the sequence.
            kwargs['out_indices'] = list(kwargs['out_indices'])
        super().__init__(*args, **kwargs)
        for module in self.modules():
            if isinstance(module, DropPath):
                # The parent sets NumPy scalars, which compilers cannot trace.
                module.drop_prob = float(module.drop_prob)
        if not pool_norm:
            if self.out_type != 'avg_featmap':
                raise ValueError(
                    "`pool_norm=False` needs `out_type='avg_featmap'`, but "
                    f'got {self.out_type!r}'
                )
            self.ln2 = nn.Identity()


@MODELS.register_module()
class DAVPTVisionTransformer(PromptedBackbone, _FrozenViT):
    """A frozen Vision Transformer with trainable deep prompts and tuners.

    The parent owns all pre-trained weights and their names. Each layer sees
    its prompts as a key/value prefix (:mod:`.prompted_layer`) and passes on
    [CLS] and patches alone; ``forward`` returns the same features as the
    parent's. Layers above the last of ``out_indices`` are not run.

    Args:
        num_prompts (int | Sequence[int]): Prompts of every layer that is
            run, or one number per layer. 0 gives the parent, bit for bit.
            Defaults to 20.
        propagate (bool | str): What happens to the prompt outputs of a
            layer. All but False run the concatenated form, which costs more.
            Defaults to False.

            - False: they are discarded (VPT-Deep, DA-VPT);
            - True: they pass on to the next layer, unless that has its own
              prompts: VPT-Shallow is ``num_prompts=(P, 0, 0, ...)``;
            - 'sum': they are added to the next layer's prompts (DA-VPT+Conn,
              Table 7; the paper gives no formula);
            - 'gate': they are mixed with them, see :func:`.mix_prompts`
              (DA-VPT+Gate, Table 7); with ``num_prompts=(P, 0, 0, ...)``
              they are mixed with the prompts that entered the layer
              (GateVPT, Yoo et al., ICML 2023).
        bias (Sequence[str]): Projections whose frozen bias gets a learnable
            shift, initially zero: see :class:`.Bias`. DA-VPT+ (section 3.5)
            is ``('k', 'v')``. Defaults to ().
        tuners (Sequence[Mapping]): Configs of other tuning methods, such as
            ``dict(type='LoRA', rank=8)``, with ``name`` to use a type twice:
            see :class:`.Tuner`. Defaults to ().
        trainable (Sequence[str]): Name patterns of pre-trained parameters
            that train as well, such as ``'layers.*.ln1.*'``; ``('*', )`` is
            full tuning. All others are frozen, in eval mode also in training.
            Defaults to ().
        with_cp (bool): Whether to recompute each layer in backward instead of
            keeping its activations. Defaults to False.
        frozen_dtype (str, optional): 'bfloat16' stores the frozen weights of
            linear layers and convolutions in half the bytes, and computes the
            backbone in autocast to that type; its outputs are float32. Other
            weights stay float32, such as norms, biases, positions and all
            that trains. Defaults to None: all is float32.
        pool_norm (bool): Whether ``out_type='avg_featmap'`` normalizes the
            mean over the patches once more (``ln2``, MAE's ``fc_norm``). MAE
            does so instead of the final norm; the released code of DA-VPT
            has the final norm and then the mean: ``final_norm=True,
            pool_norm=False``. Defaults to True, as the parent.
        pool_prompts (bool): Whether that mean also includes the last layer's
            prompt outputs, as in VPT for MAE. The last layer then runs in the
            concatenated form. Defaults to False.
        init_cfg (dict, optional): Of type 'Pretrained', with ``checkpoint``
            and optionally ``prefix`` and ``allow_pickle``: see
            :func:`~mmdavpt.models.pretrained.load_pretrained`.
        **kwargs: Arguments of :class:`mmpretrain.models.VisionTransformer`.

    Attributes:
        normalization (Normalization | None): Normalization of the images that
            the weights were trained on, once they are loaded.

    Raises:
        ValueError: If an argument does not fit the architecture.
    """

    @property
    def output_norm(self) -> nn.Module:
        """nn.Module: The norm after the last layer."""
        return self.ln1

    @property
    def patch_projection(self) -> nn.Module:
        """nn.Module: The convolution that embeds patches."""
        return self.patch_embed.projection

    def stem(self) -> tuple[list[nn.Module], list[nn.Parameter]]:
        """Return the modules and further parameters before the layers."""
        tokens = [] if self.cls_token is None else [self.cls_token]
        modules = [self.patch_embed, self.drop_after_pos, self.pre_norm]
        return modules, [self.pos_embed, *tokens]

    def tail(self) -> dict[nn.Module, bool]:
        """Return the modules after the layers, and whether they run."""
        norms = {self.ln1: self.normalizes_output} if self.final_norm else {}
        return {**norms, self.ln2: True} if hasattr(self, 'ln2') else norms

    def init_weights(self) -> None:
        """Initialize the weights; load pre-trained ones strictly, and last.

        Prompts and tuners are initialized on construction.
        """
        cfg = self.init_cfg
        pretrained = isinstance(cfg, dict) and cfg.get('type') == 'Pretrained'
        # mmengine would load with a mere warning for missing keys.
        self.init_cfg = None if pretrained else cfg
        super().init_weights()
        self.init_cfg = cfg
        if pretrained:
            self.load_pretrained_weights()
        else:
            warn_of_random_frozen(self)
        self.adapt_tuners()

    def load_pretrained_weights(self) -> None:
        """Load the weights that an ``init_cfg`` of type 'Pretrained' names.

        Weights that tuning added are unchanged.
        """
        options = {k: v for k, v in self.init_cfg.items() if k != 'type'}
        self.normalization = load_pretrained(self, **options)

    def embed(self, images: Tensor, acting: Acting) -> PrefixTokens:
        """Return the input of the first layer, with shape (B, 1+N, C)."""
        batch_size = images.shape[0]
        x, grid = self.patch_embed(images)
        for tuner in acting.get('embed', ()):
            x = tuner.embed(x)
        if self.cls_token is not None:
            x = torch.cat((self.cls_token.expand(batch_size, -1, -1), x), 1)
        x = x + resize_pos_embed(
            self.pos_embed,
            self.patch_resolution,
            grid,
            mode=self.interpolate_mode,
            num_extra_tokens=self.num_extra_tokens,
        )
        return PrefixTokens(self.pre_norm(self.drop_after_pos(x)), grid)

    def pool(self, x: Tensor) -> Tensor:
        """Return the mean of the patches, (B, C)."""
        return x[:, self.num_extra_tokens :].mean(dim=1)

    def format_output(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return a feature as the parent does."""
        return self._format_output(x, grid)

    def get_layer_depth(
        self, param_name: str, prefix: str = ''
    ) -> tuple[int, int]:
        """Get the layer-wise depth of a parameter, like the parent.

        The prompts of a layer have that layer's depth.
        """
        if param_name.startswith(f'{prefix}prompts.'):
            layer = int(param_name[len(prefix) :].split('.')[1])
            return layer + 1, self.num_layers + 2
        return super().get_layer_depth(param_name, prefix)
