"""View of one frozen layer: the steps that the prefix algorithm needs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Changes the output of a projection: (part, input, output) to output.
Change = Callable[[str, Tensor, Tensor], Tensor]


class LayerView(ABC):
    """The steps of one layer of any library, over its own modules.

    A view holds no weights and no state, so it is cheap to make. To support
    another kind of layer, subclass this in a new file and add the pair to
    :data:`.LAYER_VIEWS`.

    Args:
        layer (nn.Module): The layer.
        shifts (Mapping[str, Tensor], optional): Parts of
            :data:`~mmdavpt.models.tuners.PARTS` to shifts of their biases,
            with shape (out, ). Defaults to None.
        rope (Tensor, optional): Rotary embedding of the patches, in the form
            of the layer's library. Defaults to None.

    Attributes:
        projects_in_parts (bool): Whether :meth:`project` computes just the
            parts it returns. Else each call costs all of them, and draws its
            own dropout. Defaults to True.
        positions (bool): Whether :meth:`position` changes queries and keys.
            Defaults to False.
        normalizes_queries (bool): Whether it normalizes queries. Defaults to
            False.
    """

    projects_in_parts = True
    positions = False
    normalizes_queries = False

    def __init__(
        self,
        layer: nn.Module,
        shifts: Mapping[str, Tensor] | None = None,
        rope: Tensor | None = None,
    ) -> None:
        self.layer = layer
        self.shifts = shifts or {}
        self.rope = rope

    def shifted(self, bias: Tensor | None) -> Tensor | None:
        """Return the bias of queries, keys and values, shifted.

        Args:
            bias (Tensor, optional): With shape (3C, ); None for zeros.
        """
        own = [self.shifts[part] for part in 'qkv' if part in self.shifts]
        if not own:
            return bias
        zero = torch.zeros_like(own[0])
        shift = torch.cat([self.shifts.get(part, zero) for part in 'qkv'])
        return shift if bias is None else bias + shift

    @property
    def num_heads(self) -> int:
        """int: Attention heads."""
        return self.layer.attn.num_heads

    @abstractmethod
    def linear(self, part: str) -> tuple[nn.Module, slice]:
        """Return the module that projects a part, and the rows of its weight.

        Args:
            part (str): One of :data:`~mmdavpt.models.tuners.PARTS`.
        """

    def bias(self, part: str) -> Tensor | None:
        """Return the trained bias of a part, (out, ), if it has one.

        Args:
            part (str): See :meth:`linear`.
        """
        module, rows = self.linear(part)
        return None if module.bias is None else module.bias[rows]

    @abstractmethod
    def norm(self, which: str) -> nn.Module:
        """Return a normalization.

        Args:
            which (str): 'norm1' before attention, 'norm2' before the MLP.
        """

    @abstractmethod
    def project(self, x: Tensor, parts: str = 'qkv') -> Tensor:
        """Project normalized tokens.

        Args:
            x (Tensor): With shape (..., C).
            parts (str): Parts to compute: 'qkv', or neighbours out of it,
                such as 'q' or 'kv'. Defaults to 'qkv'.

        Returns:
            Tensor: The parts side by side, with shape (..., parts * C).
        """

    def run_fused(self, x: Tensor, parts: str, bias: Tensor | None) -> Tensor:
        """Project normalized tokens by one module of all parts.

        Args:
            x (Tensor): See :meth:`project`.
            parts (str): See there.
            bias (Tensor, optional): What is added to its product, or to its
                output if it is no plain linear layer, (3C, ).
        """
        qkv, rows = self.linear(parts[0])
        rows = slice(rows.start, self.linear(parts[-1])[1].stop)
        bias = None if bias is None else bias[rows]
        if self.projects_in_parts:
            return F.linear(x, qkv.weight[rows], bias)
        out = qkv(x)[..., rows]
        return out if bias is None else out + bias

    @abstractmethod
    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        r"""Return the attention output, heads concatenated.

        .. math::
            \mathrm{softmax}(q k^T / \sqrt{d})\, v \text{ of each head}

        Args:
            queries (Tensor): With shape (B, Q, C).
            keys (Tensor): With shape (B, K, C).
            values (Tensor): With shape (B, K, C).

        Returns:
            Tensor: With shape (B, Q, C).
        """

    @abstractmethod
    def attention_output(self, attended: Tensor, change: Change) -> Tensor:
        """Project the attention output; apply scale and stochastic depth.

        Args:
            attended (Tensor): With shape (B, Q, C).
            change (Change): Called with the part 'proj'.

        Returns:
            Tensor: The residual, to add to the layer's input, (B, Q, C).
        """

    @abstractmethod
    def mlp(self, x: Tensor, change: Change) -> Tensor:
        """Run the MLP; apply scale and stochastic depth.

        Args:
            x (Tensor): Normalized tokens, with shape (B, T, C).
            change (Change): Called with the parts 'fc1' and 'fc2'.

        Returns:
            Tensor: The residual, to add to the MLP's input, (B, T, C).
        """

    @abstractmethod
    def add_mlp(self, x: Tensor) -> Tensor:
        """Add the MLP's output to its input, exactly as the library does.

        Args:
            x (Tensor): Tokens before the norm, with shape (B, T, C).
        """

    def position(
        self, part: str, tokens: Tensor, first_patch: int | None = None
    ) -> Tensor:
        """Normalize queries or keys, and rotate those of patches.

        Called only if ``positions`` is set. Prompts are normalized like other
        tokens, and never rotated.

        Args:
            part (str): 'q' or 'k'.
            tokens (Tensor): With shape (..., T, C).
            first_patch (int, optional): Index of the first patch. Defaults
                to None: there are no patches among them.
        """
        return tokens

    def __call__(self, x: Tensor) -> Tensor:
        """Run the layer as its library does.

        Args:
            x (Tensor): With shape (B, T, C).
        """
        return self.layer(x)

    def prompt_parameters(self) -> list[nn.Parameter]:
        """Return the parameters, except weights, behind keys and values.

        Returns:
            list[nn.Parameter]: Those of the norm before attention and the
            biases of keys and values.
        """
        norm = self.norm('norm1').parameters()
        modules = {self.linear(part)[0] for part in 'kv'}
        biases = [m.bias for m in modules if m.bias is not None]
        return [*norm, *biases]

    def dims(self, part: str) -> tuple[int, int]:
        """Return the numbers of input and output channels of a part."""
        module, rows = self.linear(part)
        size = range(module.out_features)[rows]
        return module.in_features, len(size)

    def run_linear(self, part: str, x: Tensor, change: Change) -> Tensor:
        """Run the whole linear module of a part, shift its bias, change it.

        Args:
            part (str): 'proj', 'fc1' or 'fc2'.
            x (Tensor): With shape (..., in).
            change (Change): See :meth:`attention_output`.

        Returns:
            Tensor: With shape (..., out).
        """
        module, _ = self.linear(part)
        shift = self.shifts.get(part)
        if shift is None:
            return change(part, x, module(x))
        if is_plain_linear(module):
            bias = shift if module.bias is None else module.bias + shift
            return change(part, x, F.linear(x, module.weight, bias))
        return change(part, x, module(x) + shift)


def is_plain_linear(module: nn.Module) -> bool:
    """Return whether weight and bias describe a linear layer completely.

    They do not for a subclass, a wrapper, or a module with hooks or its own
    forward, such as those of low-rank adapters, weight normalization and
    quantization.

    Args:
        module (nn.Module): The module used as a linear layer.
    """
    return (
        type(module) is nn.Linear
        and 'forward' not in module.__dict__
        and not module._forward_hooks
        and not module._forward_pre_hooks
    )


def split_heads(num_heads: int, *tokens: Tensor) -> list[Tensor]:
    """Split channels: (B, N, C) to (B, heads, N, C / heads)."""
    heads = (x.unflatten(-1, (num_heads, -1)) for x in tokens)
    return [x.transpose(-3, -2) for x in heads]
