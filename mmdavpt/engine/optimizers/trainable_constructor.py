"""Parameter groups of a mostly frozen model."""

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmdavpt.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, silent about what is frozen as a whole.

    The parent logs a warning for each frozen parameter, some 300 for a
    ViT-L; among them nobody would see one that matters. The optimizer gets
    the same groups.
    """

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Add the trainable parameters of a module to the groups.

        Args:
            params (List[dict]): The parameter groups so far, added to.
            module (nn.Module): The module.
            prefix (str): Its name in the model. Defaults to ''.
            is_dcn_module (int | float, optional): As the parent's.
                Defaults to None.
        """
        if any(p.requires_grad for p in module.parameters()):
            super().add_params(params, module, prefix, is_dcn_module)
