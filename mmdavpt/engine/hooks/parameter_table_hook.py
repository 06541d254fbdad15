"""The hook that logs which parameters train."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdavpt.models.trainable import parameter_table
from mmdavpt.registry import HOOKS


@HOOKS.register_module()
class ParameterTableHook(Hook):
    """Log trainable and frozen parameters per group before training."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Log the table."""
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        runner.logger.info(f'Parameters:\n{parameter_table(model)}')
