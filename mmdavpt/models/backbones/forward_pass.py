"""Forward pass through the layers, with prompts and tuners."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmdavpt.models.tuners import LayerTuners

from .guided_tokens import LayerTask, TokenRequest
from .layer_kinds import view_of
from .prompted_layer import prompted_layer
from .prompts import mix_prompts


class BackboneTokens(NamedTuple):
    """Tokens that the backbone returns in addition to its features.

    Attributes:
        cls (Tensor | None): [CLS] after the last layer that is run, with
            shape (B, C). Without [CLS] it is the pooled feature, or None if
            neither guided nor unprompted tokens are computed.
        guided (dict[int, dict[str, Tensor]]): Guided layer to named tokens.
        patches (Tensor | None): The patches after the last layer, with shape
            (B, N, C); empty if only [CLS] is computed.
        x (Tensor | None): All tokens after the last layer that is run, with
            shape (B, E+P+N, C), if it is not the last of all.
    """

    cls: Tensor | None
    guided: dict[int, dict[str, Tensor]]
    patches: Tensor | None = None
    x: Tensor | None = None


class PrefixTokens(NamedTuple):
    """The tokens that enter a layer; also in place of their images.

    Attributes:
        x (Tensor): Extra tokens and patches, with shape (B, E+N, C). After
            the last layer it may be [CLS] alone, if that is the feature.
        grid (tuple[int, int]): Rows and columns of patches.
        rope (Sequence[Tensor] | None): Rotary embedding of the patches for
            each layer. None if there is none.
        start (int): Index of the layer; the number of layers that run if no
            layer is left.
        projected (dict[int, Tensor] | None): Layers to the keys and values of
            each image's prompts, (B, P, 2C). None for the backbone's own.
    """

    x: Tensor
    grid: tuple[int, int]
    rope: Sequence[Tensor] | None = None
    start: int = 0
    projected: dict[int, Tensor] | None = None


class Features(NamedTuple):
    """Features that are known, in place of the images they come from.

    A model whose backbone is a ``PromptedBackbone`` takes them as its input.

    Attributes:
        outs (tuple[Tensor, ...]): What the backbone returns.
        shape (tuple[int, ...]): The shape of the images, (B, 3, H, W).
    """

    outs: tuple[Tensor, ...]
    shape: tuple[int, ...]


class TokenSequence(NamedTuple):
    """Sequence that one layer passes to the next: extra, prompts, patches.

    Attributes:
        x (Tensor): The tokens, with shape (B, E+P+N, C).
        num_extra (int): The number ``E`` of [CLS] and registers.
        num_prompts (int): The number ``P`` of prompts in ``x``: 0 where they
            are a key/value prefix.
        entered (Tensor | None): The prompts that entered the layer, with
            shape (B, P, C), if gates mix them with its outputs.
    """

    x: Tensor
    num_extra: int
    num_prompts: int = 0
    entered: Tensor | None = None

    @property
    def patch_start(self) -> int:
        """int: Index of the first patch."""
        return self.num_extra + self.num_prompts

    @property
    def prompts(self) -> Tensor:
        """Tensor: The prompts, or a layer's outputs at them, (B, P, C)."""
        return self.x[:, self.num_extra : self.patch_start]

    @property
    def patches(self) -> Tensor:
        """Tensor: The patches, (B, N, C)."""
        return self.x[:, self.patch_start :]

    def with_prompts(self, prompts: Tensor) -> 'TokenSequence':
        """Return the sequence with these prompts, (B, P', C), instead."""
        parts = (self.x[:, : self.num_extra], prompts, self.patches)
        x = torch.cat(parts, dim=1)
        return TokenSequence(x, self.num_extra, prompts.shape[1])


def run_layers(
    vit: nn.Module,
    images: Tensor | PrefixTokens,
    request: TokenRequest | None = None,
    prompted: bool = True,
    stop: int | None = None,
) -> tuple[tuple[Tensor, ...], BackboneTokens]:
    """Embed images and run the layers up to the last output.

    Args:
        vit (nn.Module): A ``PromptedBackbone``.
        images (Tensor | PrefixTokens): (B, 3, H, W), or what enters a layer.
        request (TokenRequest, optional): Guided tokens to return.
        prompted (bool): False runs the pre-trained backbone. Defaults to True.
        stop (int, optional): Layer to stop before. Defaults to None: none.

    Returns:
        tuple[tuple[Tensor, ...], BackboneTokens]: The features of
        ``out_indices``, and the tokens.
    """
    acting = vit.acting_tuners() if prompted else {}
    # Embedded here: a caller would keep the input of the first layer alive.
    given = isinstance(images, PrefixTokens)
    x, grid, rope, start, kv = images if given else vit.embed(images, acting)
    tokens = TokenSequence(x, vit.num_extra_tokens)
    use_cache = kv is None and prompted and not vit.propagate
    projected = vit.prompt_cache.get(vit, acting) if use_cache else kv
    outs = [vit.format_output(x, grid)] if start - 1 in vit.out_indices else []
    guided, rejoin = {}, not (vit.with_cp or torch.compiler.is_compiling())
    for i in range(start, vit.num_used_layers if stop is None else stop):
        tuners = LayerTuners(i, acting)
        own = prefix = None
        if prompted:
            tokens, prefix, own = _with_prompts(vit, tokens, tuners)
        is_guided = request is not None and i in request.layers
        task = LayerTask(
            prompts=prefix,
            projected=None if prefix is None else projected.get(i),
            tuners=tuners,
            patch_start=tokens.patch_start,
            cls_only=_is_last(vit, i) and vit.out_type == 'cls_token',
            request=request if is_guided else None,
            own_prompts=own if is_guided else None,
            rope=None if rope is None else rope[i],
            has_cls=vit.has_cls,
            rejoin=rejoin and not is_guided,
        )
        x, layer_tokens = _run_layer(vit, i, tokens.x, task)
        if i == len(vit.layers) - 1 and vit.final_norm:
            x = tuners.apply('norm', 'final', vit.output_norm(x))
        entered = None if vit.gate_logits is None else tokens.prompts
        tokens = tokens._replace(x=x, entered=entered)
        if is_guided:
            guided[i] = layer_tokens
        if i in vit.out_indices:
            kept = _strip_prompts(vit, i, tokens)
            outs.append(vit.format_output(kept, grid))
    cls = _image_feature(vit, tokens, not prompted or request is not None)
    x = None if stop is None else tokens.x
    return tuple(outs), BackboneTokens(cls, guided, tokens.patches, x)


def frozen_prefix(
    vit: nn.Module, images: Tensor, stop: int | None = None
) -> PrefixTokens:
    """Return the tokens that enter the first layer that trains.

    The backbone takes them in place of the images. Layers after the first
    output are never part of the prefix.

    Args:
        vit (nn.Module): A ``PromptedBackbone``.
        images (Tensor): With shape (B, 3, H, W).
        stop (int, optional): Index of the layer that they enter. Defaults to
            None: the first one whose output needs a gradient.
    """
    end = min(vit.out_indices) + 1 if stop is None else stop
    with vit.precision():
        tokens = vit.embed(images, vit.acting_tuners())
        while tokens.start < end:
            following = tokens.start + 1
            x = run_layers(vit, tokens, stop=following)[1].x
            if x.requires_grad:
                break
            tokens = tokens._replace(x=x, start=following)
    if tokens.start == vit.num_used_layers and vit.out_type == 'cls_token':
        return tokens._replace(x=tokens.x[:, :1])
    return tokens


def _image_feature(
    vit: nn.Module, tokens: TokenSequence, pooled: bool
) -> Tensor | None:
    """Return [CLS], (B, C), or the pooled feature without it."""
    if vit.has_cls:
        return tokens.x[:, 0]
    last = vit.num_used_layers - 1
    return vit.pool(_strip_prompts(vit, last, tokens)) if pooled else None


def _is_last(vit: nn.Module, i: int) -> bool:
    return i == vit.num_used_layers - 1


def _with_prompts(
    vit: nn.Module, tokens: TokenSequence, tuners: LayerTuners
) -> tuple[TokenSequence, Tensor | None, Tensor | None]:
    """Give a layer its prompts: among the tokens, or else as a prefix.

    Returns:
        tuple[TokenSequence, Tensor | None, Tensor | None]: Input of the
        layer; its prefix, with shape (P, C), if it has one; and its prompts,
        wherever they are, if it has any.
    """
    i = tuners.layer
    pooled = vit.pool_prompts and _is_last(vit, i)
    prompts, own = vit.prompts.of_layer(i), tokens.entered
    if prompts is not None:
        prompts = tuners.apply('prompts', prompts)
        own = prompts.expand(tokens.x.shape[0], -1, -1)
    if own is None or not (vit.propagate or pooled):
        return tokens, prompts, prompts
    if vit.propagate in ('sum', 'gate') and tokens.num_prompts:
        gate = None if vit.gate_logits is None else vit.gate_logits[i - 1]
        own = mix_prompts(own, tokens.prompts, gate)
    return tokens.with_prompts(own), None, prompts


def _run_layer(
    vit: nn.Module, i: int, x: Tensor, task: LayerTask
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the layer's output, and the tokens by name."""
    layer = vit.layers[i]
    unchanged = (
        task.prompts is None
        and not task.tuners.act_in_layer()
        and task.request is None
        # The library's own code would rotate prompts among the tokens.
        and (task.rope is None or task.patch_start == vit.num_extra_tokens)
        # Without prompts, the result equals the parent's bit for bit.
        and not (task.cls_only and len(vit.prompts))
    )

    def run(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if unchanged:
            return view_of(layer, rope=task.rope)(x), {}
        return prompted_layer(layer, x, task)

    if vit.with_cp and torch.is_grad_enabled() and vit.training:
        return checkpoint(run, x, use_reentrant=False)
    return run(x)


def _strip_prompts(vit: nn.Module, i: int, tokens: TokenSequence) -> Tensor:
    """Return the tokens of a feature: no prompts, unless they are pooled."""
    pooled = vit.pool_prompts and _is_last(vit, i)
    if not tokens.num_prompts or pooled or vit.out_type == 'cls_token':
        return tokens.x
    return torch.cat((tokens.x[:, : tokens.num_extra], tokens.patches), dim=1)
