"""Log which parameters train."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdavpt.models.trainable import parameter_table
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap


@HOOKS.register_module()
class ParameterTableHook(Hook):
    """Log trainable and frozen parameters per group before training."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Log the table."""
        table = parameter_table(unwrap(runner.model))
        runner.logger.info(f'Parameters:\n{table}')
