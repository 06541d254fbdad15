"""Cache of the prompts' keys and values for evaluation."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from mmdavpt.models.tuners import Acting, Bias, LayerTuners

from .layer_kinds import view_of
from .prompted_layer import project_prompts
from .tuned_layer import TunedLayer


class _Sources(NamedTuple):
    small: list[Tensor]  # prompts, bias shifts, norms and biases
    # Of keys and of values, (C', C), and the rows that are theirs.
    weights: list[tuple[Tensor, slice]]


class PromptCache(nn.Module):
    """Caches :func:`.project_prompts` of all layers.

    In evaluation it is the same for every batch. ``train()``, ``eval()`` and
    a move to another device or dtype drop the cache, and each use compares
    its sources:

    - prompts, bias shifts, norms and biases by value, since a write through
      ``.data`` (mmengine's averaged models) and the fused optimizers leave no
      trace in a tensor's version;
    - the weight of a projection, which is too large for that and should be
      frozen, by its address, its version, and the values of the first key, of
      the first value and of the first channel. A write through ``.data``
      rarely leaves all three unchanged; if it might, call ``eval()`` after it.

    It is a module so that whatever is called on the backbone reaches it; it
    has no state that is saved or pickled, and copies only what :meth:`freeze`
    made.
    """

    # The key and the values that the result was computed from; the result.
    _kept: tuple[tuple, Tensor, dict[int, Tensor]] | None = None

    def get(self, vit: nn.Module, acting: Acting) -> dict[int, Tensor]:
        """Return the projected prompts, computed again if they changed.

        Args:
            vit (nn.Module): A ``PromptedBackbone``.
            acting (Acting): Its tuners.

        Returns:
            dict[int, Tensor]: A layer's index to (P, 2C); empty where they
            cannot be cached: in training, with gradients, while a graph is
            traced, where a layer's own projection trains or is more than a
            linear layer, or where a tuner other than :class:`.Bias` changes
            prompts, keys or values, whose result may depend on anything.
        """
        if self._buffers:
            return {int(layer): kept for layer, kept in self._buffers.items()}
        if torch.is_grad_enabled() or vit.prompts.training or _is_traced():
            return {}
        sources = _sources(vit, acting)
        if sources is None or not _are_comparable(sources):
            return {}
        key, values = _key(sources), _values(sources)
        kept = self._kept
        if kept is None or kept[0] != key or not kept[1].equal(values):
            kept = self._kept = key, values, _project_all(vit, acting)
        return kept[2]

    def get_all(self, vit: nn.Module, acting: Acting) -> dict[int, Tensor]:
        """Return :meth:`get`, computed where it cannot be cached."""
        return self.get(vit, acting) or _project_all(vit, acting)

    def freeze(self, vit: nn.Module) -> None:
        """Make the results constants, for a backbone that will be exported.

        Args:
            vit (nn.Module): See :meth:`get`. It should not change any more.
        """
        with vit.precision():
            projected = _project_all(vit, vit.acting_tuners())
        for i, kept in projected.items():
            self.register_buffer(str(i), kept, persistent=False)

    def train(self, mode: bool = True) -> 'PromptCache':
        """Set the mode, and drop the cache."""
        self._kept = None
        return super().train(mode)

    def _apply(self, *args, **kwargs):
        self._kept = None
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_kept': None}


def _is_traced() -> bool:
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        # Fake tensors and symbolic traces have no values to compare.
        or any(m.is_infra_mode() for m in _get_current_dispatch_mode_stack())
    )


def _sources(vit: nn.Module, acting: Acting) -> _Sources | None:
    """Return the sources of the results; None if they are unknown."""
    points = ('adapt', 'prompts', 'norm')
    changing = [t for point in points for t in acting.get(point, ())]
    for point in ('bias', 'project'):
        tuners = acting.get(point, ())
        changing += [t for t in tuners if not {'k', 'v'}.isdisjoint(t.parts)]
    if any(type(tuner) is not Bias for tuner in changing):
        return None
    small = [shift for tuner in changing for shift in tuner.parameters()]
    weights = []
    for name, prompts in vit.prompts.items():
        view = view_of(vit.layers[int(name)])
        if not view.projects_in_parts:
            return None
        small += [prompts, *view.prompt_parameters()]
        for part in 'kv':
            module, rows = view.linear(part)
            weights.append((module.weight, rows))
    return _Sources(small, weights) if weights else None


def _are_comparable(sources: _Sources) -> bool:
    # Other classes than Parameter stand in for parameters in transformed
    # calls and in sharded or fake models, where values cannot be compared.
    weights = [weight for weight, _ in sources.weights]
    tensors = [*sources.small, *weights]
    return (
        all(
            type(tensor) is nn.Parameter
            and not tensor.is_inference()
            and not tensor.is_meta
            for tensor in tensors
        )
        and not any(weight.requires_grad for weight in weights)
        and len({tensor.device for tensor in tensors}) == 1
    )


def _key(sources: _Sources) -> tuple[Any, ...]:
    small, weights = sources.small, [weight for weight, _ in sources.weights]
    kind = weights[0].device.type
    return (
        tuple((weight.data_ptr(), weight._version) for weight in weights),
        tuple((t.dtype, t.shape) for t in (*small, *weights)),
        torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
    )


def _values(sources: _Sources) -> Tensor:
    """Return all sources that are compared by value, in one tensor."""
    parts = [source.flatten() for source in sources.small]
    for weight, rows in sources.weights:
        parts += [weight[rows][0], weight[rows][:, 0]]
    return torch.cat(parts)


def _project_all(vit: nn.Module, acting: Acting) -> dict[int, Tensor]:
    projected = {}
    for name, prompts in vit.prompts.items():
        i = int(name)
        layer = TunedLayer(vit.layers[i], LayerTuners(i, acting))
        prompts = layer.tuners.apply('prompts', prompts)
        projected[i] = project_prompts(layer, prompts)
    return projected
