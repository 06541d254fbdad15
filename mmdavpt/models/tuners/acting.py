"""Dispatch: the tuners that act at each point of a layer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor

from .tuner import POINTS, Tuner

#: A point of a pass to the tuners that override it, in order.
Acting = Mapping[str, tuple[Tuner, ...]]


def acting(tuners: Iterable[Tuner]) -> Acting:
    """Collect which tuners override which methods.

    Args:
        tuners (Iterable[Tuner]): Tuners in the order in which they act.

    Returns:
        Acting: Each of :data:`POINTS` that is overridden to its tuners.
    """
    found: dict[str, tuple[Tuner, ...]] = {}
    for point, tuner in product(POINTS, tuners):
        if getattr(type(tuner), point) is not getattr(Tuner, point):
            found[point] = (*found.get(point, ()), tuner)
    return found


@dataclass(frozen=True)
class LayerTuners:
    """The tuners of one layer.

    Attributes:
        layer (int): Index of the layer.
        acting (Acting): What :func:`acting` collected; empty for a layer as
            it was pre-trained.
    """

    layer: int = 0
    acting: Acting = field(default_factory=dict)

    def act_in_layer(self) -> bool:
        """Return whether any tuner acts within a layer."""
        return not {*self.acting} <= {'embed', 'prompts'}

    def changes(self, point: str, parts: Iterable[str] = ()) -> bool:
        """Return whether a tuner acts at a point.

        Args:
            point (str): Name of a method of :class:`.Tuner`.
            parts (Iterable[str]): For 'project' and 'bias', the projections
                in question. Defaults to ().
        """
        tuners = self.acting.get(point, ())
        return any(not parts or {*parts} & {*t.parts} for t in tuners)

    def apply(self, point: str, *args: Tensor | str) -> Tensor:
        """Apply all tuners of a point to the last argument, in turn.

        Args:
            point (str): Name of a method of :class:`.Tuner`.
            *args (Tensor | str): Its arguments after the layer's index.
        """
        *given, value = args
        for tuner in self.acting.get(point, ()):
            value = getattr(tuner, point)(self.layer, *given, value)
        return value

    def project(self, part: str, x: Tensor, y: Tensor) -> Tensor:
        """Change the output of a projection: see :meth:`.Tuner.project`."""
        for tuner in self.acting.get('project', ()):
            if part in tuner.parts:
                y = tuner.project(self.layer, part, x, y)
        return y

    def shifts(self) -> dict[str, Tensor]:
        """Return the shifts of biases: parts to sums, with shape (out, )."""
        shifts: dict[str, Tensor] = {}
        for tuner in self.acting.get('bias', ()):
            for part in tuner.parts:
                if (shift := tuner.bias(self.layer, part)) is not None:
                    known = shifts.get(part)
                    shifts[part] = shift if known is None else known + shift
        return shifts

    def prefix(self) -> list[Tensor]:
        """Return extra keys and values side by side, each (T, 2C)."""
        tuners = self.acting.get('prefix', ())
        pairs = [tuner.prefix(self.layer) for tuner in tuners]
        return [torch.cat(pair, -1) for pair in pairs if pair is not None]
