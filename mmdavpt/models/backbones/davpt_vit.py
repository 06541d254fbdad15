"""The prompted Vision Transformer, for classification and segmentation."""

from typing import Iterator, Optional, Sequence, Tuple, Union

import torch
from mmcv.cnn.bricks import DropPath
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from mmdavpt.models.pretrained import (
    Normalization,
    checked_init_cfg,
    load_pretrained,
)
from mmdavpt.registry import MODELS

from .bias_delta import zero_bias_deltas
from .connections import gate_logits
from .forward_pass import BackboneTokens, run_layers
from .freezing import eval_frozen, freeze, warn_of_random_frozen
from .guided_tokens import TokenRequest
from .prompt_cache import PromptCache
from .prompts import DeepPrompts, prompt_init_bound, prompts_per_layer


@MODELS.register_module()
class DAVPTVisionTransformer(VisionTransformer):
    """A frozen Vision Transformer with trainable deep prompts.

    The parent owns all pre-trained weights and their names. Prompts are seen
    by each layer as a key/value prefix (:mod:`.prompted_layer`), and are not
    part of what the layers hand on; ``forward`` keeps the parent's contract.
    Layers above the last of ``out_indices`` are not run.

    Args:
        num_prompts (int | Sequence[int]): Prompts of every layer that is
            used, or one number per layer. 0 gives the parent, bit for bit.
            Defaults to 20.
        prompt_drop_rate (float): Probability of an element of a prompt to be
            zeroed in training. Defaults to 0.
        propagate (bool | str): What becomes of a layer's outputs at the
            prompts' places. All but False run the concatenated form, which
            costs more. Defaults to False.

            - False: they are thrown away (VPT-Deep, DA-VPT);
            - True: they go on to the next layer, unless that has prompts of
              its own: VPT-Shallow is ``num_prompts=(P, 0, 0, ...)``;
            - 'sum': they are added to the next layer's prompts (DA-VPT+Conn,
              Table 7; the paper gives no formula);
            - 'gate': they are mixed with them, see :func:`.mix_prompts`
              (DA-VPT+Gate, Table 7).
        gate_init (float, optional): Start of the gates' logits, with
            ``propagate='gate'``. Defaults to None, which is -10 as in
            GateVPT: all but closed.
        bias (Sequence[str]): Out of 'q', 'k' and 'v': the parts of the fused
            qkv bias that get a learnable delta, initially zero. DA-VPT+
            (section 3.5) is ``('k', 'v')``. Defaults to ().
        trainable (Sequence[str]): Name patterns of pre-trained parameters
            that train besides prompts and bias deltas, such as
            ``'layers.*.ln1.*'``; ``('*', )`` is full tuning. All others are
            frozen, in eval mode also in training. Defaults to ().
        with_cp (bool): Whether to recompute each layer in backward instead of
            keeping its activations. Defaults to False.
        pool_norm (bool): Whether ``out_type='avg_featmap'`` normalises the
            mean over the patches once more (``ln2``, MAE's ``fc_norm``). MAE
            does so instead of the final norm; the released code of DA-VPT
            has the final norm and then the mean: ``final_norm=True,
            pool_norm=False``. Defaults to True, as the parent.
        pool_prompts (bool): Whether that mean also goes over what the last
            layer makes of its prompts, as VPT has it for MAE. The last layer
            then runs in the concatenated form. Defaults to False.
        init_cfg (dict, optional): Of type 'Pretrained', with ``checkpoint``
            and optionally ``prefix`` and ``allow_pickle``: see
            :func:`~mmdavpt.models.pretrained.load_pretrained`.
        **kwargs: Of :class:`mmpretrain.models.VisionTransformer`.

    Attributes:
        normalization (Normalization | None): With what images the weights
            were made, known once they are loaded.

    Raises:
        ValueError: If an argument does not fit the architecture.
    """

    def __init__(
        self,
        *args,
        num_prompts: Union[int, Sequence[int]] = 20,
        prompt_drop_rate: float = 0.0,
        propagate: Union[bool, str] = False,
        gate_init: Optional[float] = None,
        bias: Sequence[str] = (),
        trainable: Sequence[str] = (),
        with_cp: bool = False,
        pool_norm: bool = True,
        pool_prompts: bool = False,
        frozen_stages: int = -1,
        **kwargs,
    ) -> None:
        if frozen_stages != -1:
            raise ValueError(
                '`frozen_stages` has no meaning here, since everything is '
                'frozen that `trainable` does not name; leave it out, but got '
                f'{frozen_stages}'
            )
        kwargs['init_cfg'] = checked_init_cfg(kwargs.get('init_cfg'))
        if isinstance(kwargs.get('out_indices'), Sequence):
            # The parent writes resolved indices into the sequence.
            kwargs['out_indices'] = list(kwargs['out_indices'])
        super().__init__(*args, **kwargs)
        for module in self.modules():
            if isinstance(module, DropPath):
                # The parent gives numbers of numpy, which no compiler traces.
                module.drop_prob = float(module.drop_prob)
        self._set_pooling(pool_norm, pool_prompts)
        self.normalization: Optional[Normalization] = None
        self.num_used_layers = min(max(self.out_indices) + 1, self.num_layers)
        self.prompts = DeepPrompts(
            prompts_per_layer(num_prompts, self.num_used_layers),
            self.embed_dims,
            prompt_init_bound(self.patch_size, self.embed_dims),
            prompt_drop_rate,
        )
        self.prompt_cache = PromptCache()
        self.propagate = propagate
        self.gate_logits = gate_logits(
            propagate, gate_init, self.prompts.counts
        )
        self.with_cp = with_cp
        self.bias_delta = zero_bias_deltas(
            bias, self.layers[0].attn.qkv, self.num_used_layers
        )
        freeze(self, trainable)

    def _set_pooling(self, pool_norm: bool, pool_prompts: bool) -> None:
        if self.out_type != 'avg_featmap' and (pool_prompts or not pool_norm):
            raise ValueError(
                '`pool_norm` and `pool_prompts` say how patches are averaged, '
                f"so `out_type` should be 'avg_featmap', but got "
                f'{self.out_type!r}'
            )
        if self.out_type == 'avg_featmap' and not pool_norm:
            self.ln2 = nn.Identity()
        self.pool_prompts = pool_prompts

    @property
    def patch_size(self) -> Tuple[int, int]:
        """Tuple[int, int]: Height and width of a patch in pixels."""
        return self.patch_embed.projection.kernel_size

    def init_weights(self) -> None:
        """Initialize the weights; load pre-trained ones strictly, and last.

        Prompts and bias deltas were initialised on construction.
        """
        init_cfg = self.init_cfg
        if not (
            isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained'
        ):
            super().init_weights()
            warn_of_random_frozen(self)
            return
        # The host would load with a mere warning for missing keys.
        self.init_cfg = None
        super().init_weights()
        self.init_cfg = init_cfg
        self.load_pretrained_weights()

    def load_pretrained_weights(self) -> None:
        """Load the weights that an ``init_cfg`` of type 'Pretrained' names.

        What the checkpoint has not, as prompts, stays as it is.
        """
        init_cfg = self.init_cfg
        self.normalization = load_pretrained(
            self,
            init_cfg['checkpoint'],
            prefix=init_cfg.get('prefix'),
            allow_pickle=init_cfg.get('allow_pickle', False),
            own=('prompts.', 'bias_delta.', 'gate_logits'),
        )

    def train(self, mode: bool = True) -> 'DAVPTVisionTransformer':
        """Set the mode; what is wholly frozen stays in eval mode.

        So dropout and stochastic depth act only in parts that train.
        """
        super().train(mode)
        if mode:
            eval_frozen(self)
        return self

    def _embed(self, x: Tensor) -> Tuple[Tensor, Tuple[int, int]]:
        """Return the first layer's input, (B, 1+N, C), and the patch grid."""
        batch_size = x.shape[0]
        x, grid = self.patch_embed(x)
        if self.cls_token is not None:
            x = torch.cat((self.cls_token.expand(batch_size, -1, -1), x), 1)
        x = x + resize_pos_embed(
            self.pos_embed,
            self.patch_resolution,
            grid,
            mode=self.interpolate_mode,
            num_extra_tokens=self.num_extra_tokens,
        )
        return self.pre_norm(self.drop_after_pos(x)), grid

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Return the features of ``out_indices``, as the parent does.

        Args:
            x (Tensor): Images with shape (B, 3, H, W).
        """
        return self.forward_with_tokens(x)[0]

    @torch.no_grad()
    def unprompted_tokens(self, x: Tensor) -> BackboneTokens:
        """Return the tokens of the pre-trained backbone, without prompts.

        The class representations before training are means of its [CLS]
        (section 3.4).

        Args:
            x (Tensor): Images with shape (B, 3, H, W).
        """
        return run_layers(self, x, prompted=False)[1]

    @torch.no_grad()
    def layer_inputs(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the patch tokens that enter each layer, without prompts.

        Args:
            x (Tensor): Images with shape (B, 3, H, W).

        Yields:
            Tensor: With shape (B, N, C), once for each layer that is used.
        """
        x, _ = self._embed(x)
        for i in range(self.num_used_layers):
            yield x[:, self.num_extra_tokens :]
            if i < self.num_used_layers - 1:
                x = self.layers[i](x)

    def forward_with_tokens(
        self, x: Tensor, request: Optional[TokenRequest] = None
    ) -> Tuple[Tuple[Tensor, ...], BackboneTokens]:
        """Return the features, and besides them [CLS] and guided tokens.

        Args:
            x (Tensor): Images with shape (B, 3, H, W).
            request (TokenRequest, optional): What guided layers hand out.

        Returns:
            Tuple[Tuple[Tensor, ...], BackboneTokens]: The features as
            ``forward`` gives them, and the tokens.
        """
        return run_layers(self, x, request)

    def get_layer_depth(
        self, param_name: str, prefix: str = ''
    ) -> Tuple[int, int]:
        """Get the layer-wise depth of a parameter, as the parent does.

        The prompts of a layer have that layer's depth.
        """
        if param_name.startswith(f'{prefix}prompts.'):
            layer = int(param_name[len(prefix) :].split('.')[1])
            return layer + 1, self.num_layers + 2
        return super().get_layer_depth(param_name, prefix)
