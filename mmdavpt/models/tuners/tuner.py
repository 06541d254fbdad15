"""Base class of tuning methods, and the weights that they fold into."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from mmdavpt.errors import UsageError

#: The linear projections of a layer. ``fc1`` and ``fc2`` are the first and
#: the last of its MLP.
PARTS = ('q', 'k', 'v', 'proj', 'fc1', 'fc2')


@dataclass(frozen=True)
class BackboneSizes:
    """Sizes of a backbone, for the constructors of tuners.

    Attributes:
        embed_dims (int): The number of channels ``C``.
        num_layers (int): The number of layers that are run, ``L``: those up
            to the last output.
        num_heads (int): Attention heads of a layer.
        patch_size (tuple[int, int]): Height and width of a patch in pixels.
        final_norm (bool): Whether the last layer that is run has a norm
            after it.
        parts (Mapping[str, tuple[int, int]]): Each of :data:`PARTS` to its
            numbers of input and output channels.
        normalizes_queries (bool): Whether attention normalizes queries after
            their projection. Defaults to False.
    """

    embed_dims: int
    num_layers: int
    num_heads: int
    patch_size: tuple[int, int]
    final_norm: bool
    parts: Mapping[str, tuple[int, int]] = field(repr=False)
    normalizes_queries: bool = False

    def per_layer(self, make: Callable[[], nn.Module]) -> nn.ModuleList:
        """Make a module for each layer."""
        return nn.ModuleList(make() for _ in range(self.num_layers))


class FrozenWeights:
    """Weights of a backbone that tuners are folded into, in place.

    Args:
        backbone (nn.Module): A ``PromptedBackbone``.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone

    def weight(self, layer: int, part: str) -> Tensor:
        """Return the weight of a projection, (out, in).

        Args:
            layer (int): Index of the layer.
            part (str): One of :data:`~mmdavpt.models.tuners.PARTS`.
        """
        module, rows = self._backbone.linear(layer, part)
        return module.weight[rows]

    def bias(self, layer: int, part: str) -> Tensor:
        """Return the bias of a projection, (out, ).

        Raises:
            UsageError: If the projection has none.
        """
        bias = self._backbone.view(layer).bias(part)
        if bias is None:
            raise UsageError(
                f'the projection {part!r} of the backbone has no bias that a '
                'tuner could be folded into (`qkv_bias=False`)'
            )
        return bias

    def scale(self, layer: int, part: str, factor: Tensor) -> None:
        """Multiply a projection, and its bias if it has one.

        Args:
            layer (int): Index of the layer.
            part (str): See :meth:`weight`.
            factor (Tensor): A scalar.
        """
        self.weight(layer, part).mul_(factor)
        bias = self._backbone.view(layer).bias(part)
        if bias is not None:
            bias.mul_(factor)

    def norm(self, layer: int, which: str) -> nn.Module:
        """Return a normalization: see :meth:`.Tuner.norm`."""
        if which == 'final':
            return self._backbone.output_norm
        return self._backbone.view(layer).norm(which)

    def embedding(self) -> nn.Module:
        """Return the patch projection: see :meth:`.Tuner.embed`."""
        return self._backbone.patch_projection


class Tuner(nn.Module):
    """A tuning method: small modules that change what frozen layers compute.

    A tuner overrides some of the methods below. The backbone calls only those
    that are overridden, so the others cost nothing. All take the index of the
    layer first and the tensor that they change last, and return the changed
    tensor. Tensors have shape (..., C) with any leading dimensions, since
    prompts are projected once for a batch, with shape (P, C). The result for
    a token must depend on that token alone.

    With ``x`` for the residual stream, which includes the layer's prompts
    ``prompts(layer, p)``, a layer computes::

        h = norm(layer, 'norm1', norm1(x))
        q = project(layer, 'q', h, h @ W_q + b_q + bias(layer, 'q'))
        ...                                                  # k, v likewise
        a = softmax(q @ [prefix(layer) keys; k]) @ [prefix(layer) values; v]
        o = project(layer, 'proj', a, a @ W_proj + ...)
        x = x + attention(layer, x, o)
        h = norm(layer, 'norm2', norm2(x))
        x = x + mlp(layer, x, fc2(activation(fc1(h))))    # fc1, fc2: project
        x = block(layer, x)

    All parameters train. A constant belongs in a buffer: buffers are saved in
    full and in tuned-only checkpoints. The constructor sets all initial
    values, so that the untrained tuner leaves the backbone as it is.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.

    Attributes:
        parts (tuple[str, ...]): The projections that :meth:`project` and
            :meth:`bias` change; they are called for no others. Defaults to
            all. Name them, since a layer's MLP runs unchanged if none of its
            parts is among them.
        wrapped (Sequence[tuple[nn.Module, nn.Module]]): Frozen modules, and
            modules whose ``forward`` replaces theirs. Defaults to none.
        consistency_weight (float): Weight of the symmetric KL divergence
            between two forward passes of a training step, for tuners that
            draw at random; the highest of all tuners counts. The head's loss
            and guidance see the first pass alone. Defaults to 0: one pass.
    """

    parts: tuple[str, ...] = PARTS
    consistency_weight: float = 0.0
    wrapped: Sequence[tuple[nn.Module, nn.Module]] = ()

    def __init__(self, sizes: BackboneSizes) -> None:
        super().__init__()
        self.sizes = sizes

    def apply(self, fn: Callable[[nn.Module], None]) -> 'Tuner':
        """Do nothing, to keep the initial values of the constructor.

        mmengine applies an ``init_cfg`` such as ``dict(type='TruncNormal',
        layer='Linear')`` to all modules of a model.
        """
        return self

    def adapt(self, backbone: nn.Module) -> None:
        """Wrap frozen modules, or follow their new weights.

        Called once the backbone is built, and again once its weights are
        initialized or loaded.

        Args:
            backbone (nn.Module): A ``PromptedBackbone``.
        """

    def embed(self, x: Tensor) -> Tensor:
        """Change the embedded patches before [CLS] and positions are added.

        Args:
            x (Tensor): With shape (B, N, C).
        """

    def norm(self, layer: int, which: str, x: Tensor) -> Tensor:
        """Change the output of a normalization.

        Args:
            layer (int): Index of the layer.
            which (str): 'norm1' before attention, 'norm2' before the MLP, or
                'final' after the last layer, if the backbone has it.
            x (Tensor): With shape (..., C).
        """

    def bias(self, layer: int, part: str) -> Tensor | None:
        """Return a shift of a projection's bias, which costs no operation.

        It is added to the frozen bias before the product.

        Args:
            layer (int): Index of the layer.
            part (str): One of :data:`PARTS`.

        Returns:
            Tensor | None: With shape (out, ); None for no shift.
        """

    def project(self, layer: int, part: str, x: Tensor, y: Tensor) -> Tensor:
        """Change the output of a projection.

        Args:
            layer (int): Index of the layer.
            part (str): One of :data:`PARTS`.
            x (Tensor): Input of the projection, with shape (..., in).
            y (Tensor): Its output, with shape (..., out).
        """

    def prompts(self, layer: int, x: Tensor) -> Tensor:
        """Change the prompts of a layer before they enter it.

        Called for layers with prompts, before outputs of another layer's
        prompts are mixed in.

        Args:
            layer (int): Index of the layer.
            x (Tensor): With shape (P, C).
        """

    def prefix(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """Return extra keys and values that all queries attend to.

        Args:
            layer (int): Index of the layer.

        Returns:
            tuple[Tensor, Tensor] | None: Both with shape (T, C), heads side
            by side; None for no such keys in this layer.
        """

    def attention(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Change the output of attention before it is added to its input.

        Args:
            layer (int): Index of the layer.
            x (Tensor): Input on the residual stream, before the norm,
                with shape (..., C).
            out (Tensor): Output after projection, layer scale and stochastic
                depth, with shape (..., C).
        """

    def mlp(self, layer: int, x: Tensor, out: Tensor) -> Tensor:
        """Change the output of the MLP before it is added to its input.

        Args:
            layer (int): See :meth:`attention`, as the others.
        """

    def block(self, layer: int, x: Tensor) -> Tensor:
        """Change the output of a layer.

        Args:
            layer (int): Index of the layer.
            x (Tensor): With shape (..., C).
        """

    def fold(self, weights: FrozenWeights) -> None:
        """Change frozen weights so that the backbone can do without the tuner.

        Implement it if the algebra allows.

        Args:
            weights (FrozenWeights): Weights to be changed in place.

        Raises:
            UsageError: If the tuner cannot be folded.
        """
        raise UsageError(
            f'{type(self).__name__} cannot be folded into the frozen weights; '
            'publish the model with its tuner instead'
        )


#: The methods of :class:`Tuner` that a pass through the backbone calls.
POINTS = ('adapt', 'embed', 'prompts', 'norm', 'bias', 'project', 'prefix')
POINTS += ('attention', 'mlp', 'block')
