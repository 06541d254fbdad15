"""The prompts' keys and values, kept from one evaluation to the next."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from .prompted_layer import project_prompts


class _Kept(NamedTuple):
    key: Tuple[Any, ...]
    values: Tensor
    projected: Dict[int, Tensor]


class PromptCache(nn.Module):
    """Keeps what :func:`.project_prompts` makes of all layers' prompts.

    In evaluation it is the same for every batch. It is never stale: it is
    dropped by ``train()`` and ``eval()``, by a move to another device or
    type, and by the loading of a state; and each use compares what it was
    made of. Prompts, bias deltas, norms and biases are compared by value,
    since a write through ``.data`` (mmengine's averaged models) and the fused
    optimizers leave no trace in a tensor's version. The weight of a
    projection is too large for that: it should be frozen, and is compared by
    its place, its version and its first row.

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
            traced, or where a layer's own projection trains.
        """
        if (
            torch.is_grad_enabled()
            or vit.prompts.training
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()
        ):
            return {}
        sources, weights = _sources(vit)
        if not _can_be_watched(sources, weights):
            return {}
        key = _key(sources, weights)
        values = torch.cat(
            [source.flatten() for source in sources]
            + [weight[0] for weight in weights]
        )
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

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self.drop()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, '_kept': None}


def _sources(vit: nn.Module) -> Tuple[List[Tensor], List[Tensor]]:
    """Return what is small, and the weights of the projections."""
    sources, weights = [*vit.bias_delta.values()], []
    for name, prompts in vit.prompts.items():
        layer = vit.layers[int(name)]
        qkv = layer.attn.qkv
        sources += [prompts, *layer.ln1.parameters()]
        sources += [] if qkv.bias is None else [qkv.bias]
        weights.append(qkv.weight)
    return sources, weights


def _can_be_watched(sources: List[Tensor], weights: List[Tensor]) -> bool:
    # Other classes than Parameter stand in for parameters in transformed
    # calls and in sharded or fake models, where values cannot be compared.
    return (
        bool(weights)
        and all(
            type(tensor) is nn.Parameter
            and not tensor.is_inference()
            and not tensor.is_meta
            for tensor in (*sources, *weights)
        )
        and not any(weight.requires_grad for weight in weights)
        and len({tensor.device for tensor in (*sources, *weights)}) == 1
    )


def _key(sources: List[Tensor], weights: List[Tensor]) -> Tuple[Any, ...]:
    kind = weights[0].device.type
    return (
        tuple((weight.data_ptr(), weight._version) for weight in weights),
        tuple((t.dtype, t.shape) for t in (*sources, *weights)),
        torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
    )


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
