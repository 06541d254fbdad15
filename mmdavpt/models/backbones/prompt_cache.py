"""The prompts' keys and values, kept from one evaluation to the next."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from .attention import is_plain_linear
from .prompted_layer import project_prompts


class _Kept(NamedTuple):
    key: Tuple[Any, ...]
    values: Tensor
    projected: Dict[int, Tensor]


class _Sources(NamedTuple):
    small: List[Tensor]  # prompts, bias deltas, norms and biases
    weights: List[Tensor]  # of the layers' projections, (3C, C)


class PromptCache(nn.Module):
    """Keeps what :func:`.project_prompts` makes of all layers' prompts.

    In evaluation it is the same for every batch. It is dropped by ``train()``
    and ``eval()`` and by a move to another device or type, and each use
    compares what it was made of:

    - prompts, bias deltas, norms and biases by value, since a write through
      ``.data`` (mmengine's averaged models) and the fused optimizers leave no
      trace in a tensor's version;
    - the weight of a projection, which is too large for that and should be
      frozen, by its place, its version, and the values of the first key, of
      the first value and of the first channel. Hardly a write through
      ``.data`` spares all three; after one that may, call ``eval()``.

    A module, so that all that comes over a backbone comes over its cache;
    it has no state that is saved, copied or pickled.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: Optional[_Kept] = None

    def get(self, vit: nn.Module) -> Dict[int, Tensor]:
        """Return the projected prompts, made anew if they are not kept.

        Args:
            vit (nn.Module): A ``DAVPTVisionTransformer``.

        Returns:
            Dict[int, Tensor]: A layer's index to (P, 2C); empty where they
            cannot be kept: in training, with gradients, while a graph is
            traced, or where a layer's own projection trains or is more than a
            linear layer.
        """
        if torch.is_grad_enabled() or vit.prompts.training or _is_traced():
            return {}
        sources = _sources(vit)
        if sources is None or not _can_be_watched(sources):
            return {}
        key, values = _key(sources), _values(sources)
        kept = self._kept
        if kept is None or kept.key != key or not kept.values.equal(values):
            kept = self._kept = _Kept(key, values, _project_all(vit))
        return kept.projected

    def drop(self) -> None:
        """Forget what is kept."""
        self._kept = None

    def train(self, mode: bool = True) -> 'PromptCache':
        """Set the mode, and forget what is kept."""
        self.drop()
        return super().train(mode)

    def _apply(self, *args, **kwargs):
        self.drop()
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, '_kept': None}


def _is_traced() -> bool:
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        # Fake tensors and symbolic traces have no values to compare.
        or any(m.is_infra_mode() for m in _get_current_dispatch_mode_stack())
    )


def _sources(vit: nn.Module) -> Optional[_Sources]:
    """Return what the results are made of; None if that cannot be told."""
    small, weights = [*vit.bias_delta.values()], []
    for name, prompts in vit.prompts.items():
        layer = vit.layers[int(name)]
        qkv = layer.attn.qkv
        if not is_plain_linear(qkv):
            return None
        small += [prompts, *layer.ln1.parameters()]
        small += [] if qkv.bias is None else [qkv.bias]
        weights.append(qkv.weight)
    return _Sources(small, weights) if weights else None


def _can_be_watched(sources: _Sources) -> bool:
    # Other classes than Parameter stand in for parameters in transformed
    # calls and in sharded or fake models, where values cannot be compared.
    tensors = [*sources.small, *sources.weights]
    return (
        all(
            type(tensor) is nn.Parameter
            and not tensor.is_inference()
            and not tensor.is_meta
            for tensor in tensors
        )
        and not any(weight.requires_grad for weight in sources.weights)
        and len({tensor.device for tensor in tensors}) == 1
    )


def _key(sources: _Sources) -> Tuple[Any, ...]:
    small, weights = sources
    kind = weights[0].device.type
    return (
        tuple((weight.data_ptr(), weight._version) for weight in weights),
        tuple((t.dtype, t.shape) for t in (*small, *weights)),
        torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
    )


def _values(sources: _Sources) -> Tensor:
    """Return in one tensor what is compared by value."""
    parts = [source.flatten() for source in sources.small]
    for weight in sources.weights:
        channels = weight.shape[1]
        parts += [weight[channels::channels].flatten(), weight[channels:, 0]]
    return torch.cat(parts)


def _project_all(vit: nn.Module) -> Dict[int, Tensor]:
    return {
        layer: project_prompts(
            vit.layers[layer],
            prompts,
            {part: rows[layer] for part, rows in vit.bias_delta.items()},
        )
        for layer, prompts in (
            (int(name), prompts) for name, prompts in vit.prompts.items()
        )
    }
