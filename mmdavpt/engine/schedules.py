"""Schedules of the learning rate."""

import math

from mmengine.optim import CosineAnnealingLR

from mmdavpt.registry import PARAM_SCHEDULERS

__all__ = ['WarmUpCosineLR', 'warm_up_cosine']


def warm_up_cosine(step: int, total: int, warm_up: float) -> float:
    """Return the factor of the learning rate in one step of a run.

    It rises linearly to 1, and falls like half a cosine towards 0 at the end.

    Args:
        step (int): The step, from 0.
        total (int): How many steps the run has.
        warm_up (float): Fraction of the run that rises, at least one step
            unless it is 0.
    """
    rising = max(round(warm_up * total), warm_up > 0)
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / max(1, total - rising)
    return (1 + math.cos(math.pi * done)) / 2


@PARAM_SCHEDULERS.register_module()
class WarmUpCosineLR(CosineAnnealingLR):
    """Warm up for a fraction of the run, then anneal until its end.

    Unlike mmengine's ``LinearLR`` and ``CosineAnnealingLR``, it needs no
    length in epochs or iterations, so it fits runs of any length; a
    ``LinearLR`` of one iteration would keep the rate with which it starts.

    Args:
        *args: See :class:`mmengine.optim.CosineAnnealingLR`.
        warm_up (float): Fraction of the run. Defaults to 0.1.
        **kwargs: See :class:`mmengine.optim.CosineAnnealingLR`.
    """

    def __init__(self, *args, warm_up: float = 0.1, **kwargs) -> None:
        self.warm_up = warm_up
        super().__init__(*args, **kwargs)

    def _get_value(self) -> list[float]:
        """Return the learning rate of each parameter group."""
        factor = warm_up_cosine(self.last_step, self.T_max, self.warm_up)
        low = self.eta_min
        return [low + factor * (base - low) for base in self.base_values]
