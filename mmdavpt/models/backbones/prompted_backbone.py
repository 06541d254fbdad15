"""Prompts and tuners over any frozen Vision Transformer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from mmdavpt.errors import check_choice, layer_indices
from mmdavpt.models import tuners as tuning
from mmdavpt.models.pretrained import Normalization

from . import freezing, prompts
from .forward_pass import BackboneTokens, Features, PrefixTokens, run_layers
from .guided_tokens import TokenRequest
from .layer_kinds import view_of
from .layer_view import LayerView
from .prompt_cache import PromptCache

#: Values of ``frozen_dtype``. float16 would need a scaled loss.
FROZEN_DTYPES = {None: torch.float32, 'bfloat16': torch.bfloat16}


class PromptedBackbone(nn.Module):
    """Base of the prompted backbones: what does not depend on the library.

    A subclass defines the methods without a body, and inherits from the frozen
    ViT after this class. The ViT's constructor, which gets all other
    arguments, sets the attributes up to ``final_norm``.

    Args:
        *args: Of the frozen ViT.
        num_prompts (int | Sequence[int]): See
            :class:`.DAVPTVisionTransformer`, as for all others.
        **kwargs: Of the frozen ViT.

    Attributes:
        layers (Sequence[nn.Module]): Layers of a class in
            :data:`.LAYER_VIEWS`.
        embed_dims (int): The number of channels ``C``.
        num_extra_tokens (int): Tokens before the patches, [CLS] first,
            ``E``.
        out_type (str): The kind of the features: 'raw', 'cls_token',
            'featmap' or 'avg_featmap'.
        out_indices (Sequence[int]): Layers whose outputs are features.
        cls_token (Tensor | None): [CLS] before the first layer.
        final_norm (bool): Whether the last layer has a norm after it.
        pool_prompts (bool): Whether the last feature includes the prompt
            outputs.
        normalization (Normalization | None): That of the images that the
            weights were trained on, once they are loaded.
        frozen_dtype (Tensor | None): The option in ASCII, uint8. As a buffer
            it is in every checkpoint, so one of another type does not load.
    """

    normalization: Normalization | None = None

    def __init__(
        self,
        *args,
        num_prompts: int | Sequence[int] = 20,
        propagate: bool | str = False,
        bias: Sequence[str] = (),
        tuners: Sequence[Mapping] = (),
        trainable: Sequence[str] = (),
        with_cp: bool = False,
        frozen_dtype: str | None = None,
        pool_prompts: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_choice('`frozen_dtype`', frozen_dtype, FROZEN_DTYPES)
        if pool_prompts and self.out_type != 'avg_featmap':
            raise ValueError(
                "`pool_prompts` needs `out_type='avg_featmap'`, but got "
                f'{self.out_type!r}'
            )
        self.pool_prompts = pool_prompts
        self.register_buffer('frozen_dtype', None)
        given, number = self.out_indices, len(self.layers)
        self.out_indices = layer_indices('`out_indices`', given, number)
        self.num_used_layers = max(self.out_indices) + 1
        counts = prompts.prompts_per_layer(num_prompts, self.num_used_layers)
        bound = prompts.prompt_init_bound(self.patch_size, self.embed_dims)
        self.prompts = prompts.DeepPrompts(counts, self.embed_dims, bound)
        self.prompt_cache = PromptCache()
        self.propagate = propagate
        self.gate_logits = prompts.gate_logits(propagate, counts)
        self.with_cp = with_cp
        sizes = self._sizes()
        self.bias_delta = tuning.Bias(sizes, bias) if bias else None
        self.tuners = tuning.build_tuners(tuners, sizes)
        self.adapt_tuners()
        freezing.freeze(self, trainable)
        self.store_frozen(frozen_dtype)

    def embed(self, images: Tensor, acting: tuning.Acting) -> PrefixTokens:
        """Return the input of the first layer.

        Args:
            images (Tensor): With shape (B, 3, H, W).
            acting (Acting): Tuners, of which 'embed' acts here.
        """

    def format_output(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return a feature of kind ``out_type``.

        Args:
            x (Tensor): Output of a layer, without prompts, (B, E+N, C).
            grid (tuple[int, int]): Rows and columns of patches.
        """

    @property
    def output_norm(self) -> nn.Module:
        """nn.Module: The norm after the last layer."""

    @property
    def patch_projection(self) -> nn.Module:
        """nn.Module: The convolution that embeds patches."""

    def pool(self, x: Tensor) -> Tensor:
        """Return the feature of a model without [CLS], (B, C).

        Args:
            x (Tensor): See :meth:`format_output`.
        """

    def stem(self) -> tuple[list[nn.Module], list[nn.Parameter]]:
        """Return the modules and further parameters before the layers."""

    def tail(self) -> dict[nn.Module, bool]:
        """Return the modules after the layers, and whether they run."""

    def store_frozen(self, dtype: str | None) -> None:
        """Store frozen matrices in a type, and compute in it from now on.

        Args:
            dtype (str, optional): One of :data:`FROZEN_DTYPES`. None is
                float32, and keeps weights that were never stored otherwise.

        Raises:
            ValueError: If no matrix is frozen.
        """
        stored = dtype is not None or self.frozen_dtype is not None
        if stored and not freezing.store_matrices(self, FROZEN_DTYPES[dtype]):
            raise ValueError(
                '`frozen_dtype` has no effect, since `trainable` names the '
                'weights of all linear layers and convolutions; remove it'
            )
        code = dtype and torch.tensor([*dtype.encode()], dtype=torch.uint8)
        self.frozen_dtype = code

    def _apply(self, *args, **kwargs) -> 'PromptedBackbone':
        super()._apply(*args, **kwargs)
        # A fingerprint depends on their type, which `float()` would change.
        if self.frozen_dtype is not None:
            freezing.store_matrices(self, torch.bfloat16)
        return self

    def precision(self) -> AbstractContextManager:
        """Return the context for passes through frozen layers."""
        if self.frozen_dtype is None:
            return nullcontext()
        device = self.patch_projection.weight.device
        return torch.autocast(device.type, torch.bfloat16)

    def _sizes(self) -> tuning.BackboneSizes:
        view = self.view(0)
        return tuning.BackboneSizes(
            embed_dims=self.embed_dims,
            num_layers=self.num_used_layers,
            num_heads=view.num_heads,
            patch_size=self.patch_size,
            final_norm=self.normalizes_output,
            parts={part: view.dims(part) for part in tuning.PARTS},
            normalizes_queries=view.normalizes_queries,
        )

    def adapt_tuners(self) -> None:
        """Let tuners that wrap frozen modules follow their weights."""
        for tuner in self.acting_tuners().get('adapt', ()):
            tuner.adapt(self)

    @contextmanager
    def pretrained(self) -> Iterator[None]:
        """Run frozen modules without what tuners wrap them in."""
        pairs = [pair for t in self.tuners.values() for pair in t.wrapped]
        for module, _ in pairs:
            del module.forward
        try:
            yield
        finally:
            for module, wrapper in pairs:
                module.forward = wrapper.forward

    def unused_modules(self) -> list[nn.Module]:
        """Return the layers and modules after them that never run."""
        tail = [module for module, runs in self.tail().items() if not runs]
        return [*self.layers[self.num_used_layers :], *tail]

    @property
    def normalizes_output(self) -> bool:
        """bool: Whether the norm after the last layer runs."""
        return self.final_norm and self.num_used_layers == len(self.layers)

    @property
    def has_cls(self) -> bool:
        """bool: Whether the first token is [CLS]."""
        return self.cls_token is not None

    @property
    def patch_size(self) -> tuple[int, int]:
        """tuple[int, int]: Height and width of a patch in pixels."""
        return self.patch_projection.kernel_size

    def view(self, layer: int) -> LayerView:
        """Return the view of a layer, as it was pre-trained."""
        return view_of(self.layers[layer])

    def linear(self, layer: int, part: str) -> tuple[nn.Module, slice]:
        """Return the module of a projection, and the rows of its weight.

        Args:
            layer (int): Index of the layer.
            part (str): One of :data:`~mmdavpt.models.tuners.PARTS`.
        """
        return self.view(layer).linear(part)

    def all_tuners(self) -> list[tuning.Tuner]:
        """Return the tuners in the order in which they act."""
        bias = [] if self.bias_delta is None else [self.bias_delta]
        return [*bias, *self.tuners.values()]

    def acting_tuners(self) -> tuning.Acting:
        """Return which tuners act at which point."""
        return tuning.acting(self.all_tuners())

    def train(self, mode: bool = True) -> 'PromptedBackbone':
        """Set the mode; modules that are frozen stay in eval mode.

        So dropout and stochastic depth act only in parts that train.

        Raises:
            UsageError: If a tuner's selection is missing or does not fit.
        """
        super().train(mode)
        if mode:
            freezing.eval_frozen(self)
            for tuner in self.tuners.values():
                if isinstance(tuner, tuning.SelectiveTuner):
                    tuner.check_selection(self)
        return self

    def forward(self, x: Tensor | Features) -> tuple[Tensor, ...]:
        """Return the features of ``out_indices``.

        Args:
            x (Tensor | Features): Images with shape (B, 3, H, W); or
                their features, which are returned.
        """
        if isinstance(x, Features):
            return x.outs
        return self.forward_with_tokens(x)[0]

    @torch.no_grad()
    def unprompted_tokens(self, x: Tensor) -> BackboneTokens:
        """Return the tokens of the pre-trained backbone.

        It runs without prompts and tuners. Class representations before
        training are means of its [CLS] (section 3.4).

        Args:
            x (Tensor): Images with shape (B, 3, H, W).
        """
        with self.pretrained():
            return self.forward_with_tokens(x, prompted=False)[1]

    @torch.no_grad()
    def layer_inputs(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the patch tokens that enter each pre-trained layer.

        Args:
            x (Tensor): Images with shape (B, 3, H, W).

        Yields:
            Tensor: With shape (B, N, C), once for each layer that is run.
        """
        precision = self.precision()
        with self.pretrained():
            with precision:  # not around `yield`, which would spread it
                x, _, rope, *_ = self.embed(x, {})
            for i in range(self.num_used_layers):
                yield x[:, self.num_extra_tokens :]
                if i < self.num_used_layers - 1:
                    own = None if rope is None else rope[i]
                    with precision:
                        x = view_of(self.layers[i], rope=own)(x)

    def forward_with_tokens(
        self, x: Tensor, request: TokenRequest | None = None, **kwargs
    ) -> tuple[tuple[Tensor, ...], BackboneTokens]:
        """Return the features and the tokens: [CLS], patches, guided ones.

        Args:
            x (Tensor): Images with shape (B, 3, H, W).
            request (TokenRequest, optional): Guided tokens to return.
            **kwargs: See :func:`.run_layers`.

        Returns:
            tuple[tuple[Tensor, ...], BackboneTokens]: The features as
            ``forward`` gives them, and the tokens, for losses and heads in
            float32.
        """
        with self.precision():
            outs, tokens = run_layers(self, x, request, **kwargs)
        if self.frozen_dtype is None:
            return outs, tokens
        return tree_map_only(Tensor, Tensor.float, (outs, tokens))
