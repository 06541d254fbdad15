"""The hook that fades guidance out."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdavpt.errors import UsageError, check_number
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap


@HOOKS.register_module()
class GuidanceFadeHook(Hook):
    """Lower the weights of guidance linearly from all to none.

    Early guidance places the prompts; the task alone then trains them. The
    paper keeps the weights constant.

    Args:
        end (float): Fraction of the training after which guidance is off.
            Defaults to 0.5.

    Raises:
        UsageError: If ``end`` is not in (0, 1].
    """

    def __init__(self, end: float = 0.5) -> None:
        check_number('GuidanceFadeHook: `end`', end, positive=True)
        if end > 1:
            raise UsageError(
                'GuidanceFadeHook: `end` should be a fraction of the training,'
                f' at most 1, but got {end}'
            )
        self.end = end

    def before_train(self, runner: Runner) -> None:
        """Check that the model is guided."""
        if getattr(unwrap(runner.model), 'guidance', None) is None:
            raise UsageError(
                'GuidanceFadeHook needs a guided model; remove it from '
                'custom_hooks, or set model.guidance'
            )

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Set the factor of the iteration."""
        progress = runner.iter / (self.end * runner.max_iters)
        unwrap(runner.model).guidance.scale = max(0.0, 1.0 - progress)
