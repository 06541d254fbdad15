"""View of timm's ``Block`` and ``EvaBlock``."""

import torch
import torch.nn.functional as F
from timm.layers import GluMlp, Mlp, SwiGLU, apply_rot_embed_cat
from timm.layers.attention import Attention, AttentionRope
from timm.models.eva import EvaAttention, EvaBlock
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few

from .layer_view import Change, LayerView, is_plain_linear, split_heads

#: Classes of layers, of their attention and of their MLP.
KINDS = (Block, EvaBlock, Attention, AttentionRope, EvaAttention)
KINDS += (Mlp, GluMlp, SwiGLU)


def check_layer(layer: nn.Module) -> None:
    """Check that a layer has nothing that :class:`TimmLayer` leaves out.

    Args:
        layer (nn.Module): A layer of timm.

    Raises:
        UsageError: If it or its attention or MLP is of another kind.
    """
    attn, mlp = getattr(layer, 'attn', None), getattr(layer, 'mlp', None)
    parts = [part for part in (layer, attn, mlp) if part is not None]
    kinds = [type(p) for p in parts if type(p) not in KINDS]
    found = [kind.__name__ for kind in kinds]
    if getattr(attn, 'gate', None) is not None:
        found.append('gated attention')
    if getattr(attn, 'num_kv_groups', 1) > 1:
        found.append('grouped-query attention')
    if found:
        raise UsageError(
            f'its layers have {first_few(found)}, which cannot be prompted; '
            'choose another model'
        )


class TimmLayer(LayerView):
    """View of a ``Block`` or ``EvaBlock``, with its kinds of parts.

    Attention: fused or separate projections, norms of queries and keys,
    rotary embeddings, a norm of the output. MLP: plain, gated or SwiGLU.

    Args:
        layer (nn.Module): The layer.
        *args: See :class:`.LayerView`; ``rope`` is what the layer takes.
        **kwargs: See there.
    """

    def __init__(self, layer: nn.Module, *args, **kwargs) -> None:
        super().__init__(layer, *args, **kwargs)
        attn = layer.attn
        normalizes_keys = not isinstance(attn.k_norm, nn.Identity)
        self.positions = self.rope is not None or normalizes_keys
        self.normalizes_queries = not isinstance(attn.q_norm, nn.Identity)
        self.fused = attn.qkv is not None
        modules = [self.linear(part)[0] for part in 'qkv']
        self.projects_in_parts = all(map(is_plain_linear, modules))

    def __call__(self, x: Tensor) -> Tensor:
        """Run the layer as timm does."""
        if self.rope is None:
            return self.layer(x)
        return self.layer(x, rope=self.rope)

    def norm(self, which: str) -> nn.Module:
        """Return ``norm1`` or ``norm2``: see :class:`.LayerView`."""
        return getattr(self.layer, which)

    def linear(self, part: str) -> tuple[nn.Module, slice]:
        """Return the module and rows of a part: see :class:`.LayerView`.

        Raises:
            UsageError: For 'fc1' of a SwiGLU with two modules.
        """
        attn, mlp = self.layer.attn, self.layer.mlp
        if part in ('fc1', 'fc2'):
            if part == 'fc1' and isinstance(mlp, SwiGLU):
                raise UsageError(
                    "'fc1' of timm's SwiGLU is two modules, so nothing can be "
                    'folded into it; leave fc1 out of the parts of the tuner'
                )
            return getattr(mlp, part), slice(None)
        if part == 'proj':
            return attn.proj, slice(None)
        if not self.fused:
            return getattr(attn, f'{part}_proj'), slice(None)
        dims = attn.num_heads * attn.head_dim
        first = 'qkv'.index(part) * dims
        return attn.qkv, slice(first, first + dims)

    def bias(self, part: str) -> Tensor | None:
        """Return the bias of a part: see :class:`.LayerView`."""
        own = getattr(self.layer.attn, f'{part}_bias', None)
        # EVA-02's for keys is a buffer of zeros that no file has.
        return own if isinstance(own, nn.Parameter) else super().bias(part)

    def dims(self, part: str) -> tuple[int, int]:
        """Return the sizes of a part: see :class:`.LayerView`."""
        mlp = self.layer.mlp
        if part == 'fc1' and isinstance(mlp, SwiGLU):
            return mlp.fc1_g.in_features, 2 * mlp.fc1_g.out_features
        return super().dims(part)

    def prompt_parameters(self) -> list[nn.Parameter]:
        """Return the small parameters: see :class:`.LayerView`."""
        attn = self.layer.attn
        own = [getattr(attn, f'{part}_bias', None) for part in 'kv']
        own = [bias for bias in own if isinstance(bias, nn.Parameter)]
        return [*super().prompt_parameters(), *attn.k_norm.parameters(), *own]

    def project(self, x: Tensor, parts: str = 'qkv') -> Tensor:
        """Project normalized tokens: see :class:`.LayerView`."""
        if not self.fused:
            outs = [self._with_shift(p, self.linear(p)[0](x)) for p in parts]
            return outs[0] if len(outs) == 1 else torch.cat(outs, dim=-1)
        return self.run_fused(x, parts, self._fused_bias())

    def _with_shift(self, part: str, out: Tensor) -> Tensor:
        shift = self.shifts.get(part)
        return out if shift is None else out + shift

    def _fused_bias(self) -> Tensor | None:
        """Return what the fused projection lacks, shifted, (3C, )."""
        attn = self.layer.attn
        bias = attn.qkv.bias if self.projects_in_parts else None
        if getattr(attn, 'q_bias', None) is not None:
            bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
        return self.shifted(bias)

    def position(
        self, part: str, tokens: Tensor, first_patch: int | None = None
    ) -> Tensor:
        """Normalize and rotate: see :class:`.LayerView`."""
        attn = self.layer.attn
        norm = attn.q_norm if part == 'q' else attn.k_norm
        heads = norm(tokens.unflatten(-1, (attn.num_heads, attn.head_dim)))
        if self.rope is not None and first_patch is not None:
            others, patches = heads.tensor_split((first_patch,), dim=-3)
            if patches.shape[-3]:
                patches = apply_rot_embed_cat(
                    patches.transpose(-3, -2), self.rope, attn.rotate_half
                ).transpose(-3, -2)
                heads = torch.cat((others, patches), dim=-3)
        return heads.flatten(-2).type_as(tokens)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return the attention output: see :class:`.LayerView`."""
        attn = self.layer.attn
        heads = split_heads(attn.num_heads, queries, keys, values)
        dropout = attn.attn_drop.p if attn.training else 0.0
        out = F.scaled_dot_product_attention(*heads, dropout_p=dropout)
        return out.transpose(-3, -2).flatten(-2)

    def attention_output(self, attended: Tensor, change: Change) -> Tensor:
        """Return the residual of attention: see :class:`.LayerView`."""
        layer, attn = self.layer, self.layer.attn
        out = self.run_linear('proj', attn.norm(attended), change)
        return layer.drop_path1(self._scaled('1', attn.proj_drop(out)))

    def mlp(self, x: Tensor, change: Change) -> Tensor:
        """Run the MLP step by step: see :class:`.LayerView`."""
        mlp = self.layer.mlp
        hidden = mlp.drop1(self._hidden(x, change))
        out = mlp.drop2(self.run_linear('fc2', mlp.norm(hidden), change))
        return self.layer.drop_path2(self._scaled('2', out))

    def _hidden(self, x: Tensor, change: Change) -> Tensor:
        """Return the activations between ``fc1`` and ``fc2``."""
        mlp = self.layer.mlp
        if isinstance(mlp, SwiGLU):
            both = torch.cat([mlp.fc1_g(x), mlp.fc1_x(x)], dim=-1)
            both = change('fc1', x, self._with_shift('fc1', both))
            gate, value = both.chunk(2, dim=-1)
            return mlp.act(gate) * value
        hidden = self.run_linear('fc1', x, change)
        if isinstance(mlp, GluMlp):
            first, second = hidden.chunk(2, dim=-1)
            if mlp.gate_last:
                return first * mlp.act(second)
            return mlp.act(first) * second
        return mlp.act(hidden)

    def add_mlp(self, x: Tensor) -> Tensor:
        """Run the MLP as timm does: see :class:`.LayerView`."""
        layer = self.layer
        out = self._scaled('2', layer.mlp(layer.norm2(x)))
        return x + layer.drop_path2(out)

    def _scaled(self, number: str, x: Tensor) -> Tensor:
        """Apply the layer scale of attention ('1') or of the MLP ('2')."""
        scale = getattr(self.layer, f'ls{number}', None)  # a Block
        if scale is not None:
            return scale(x)
        gamma = getattr(self.layer, f'gamma_{number}')
        return x if gamma is None else gamma * x
