"""Where frozen weights are from, and whether they can be had again."""

import copy

from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few

from .fingerprint import fingerprint, same_values


def frozen_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of a model that do not train, by name.

    Args:
        model (nn.Module): The model, without wrapper.
    """
    return {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad
    }


def restore(model: nn.Module) -> list[str]:
    """Load the pre-trained weights that a model's config names.

    Args:
        model (nn.Module): The model.

    Returns:
        list[str]: Where they are from.

    Raises:
        UsageError: If the config names none, or they cannot be read.
    """
    restorable = _restorable(model)
    if not restorable:
        raise UsageError(
            'tuned weights need the frozen ones they were tuned on, but the '
            'config names none; set model.backbone.init_cfg=dict(type='
            "'Pretrained', checkpoint=FILE)"
        )
    for module in restorable.values():
        try:
            module.load_pretrained_weights()
        except FileNotFoundError as error:
            raise UsageError(
                f'tuned weights need the frozen ones: {error}'
            ) from error
    return [m.init_cfg['checkpoint'] for m in restorable.values()]


def check_restorable(model: nn.Module) -> None:
    """Raise if a model's frozen weights could not be had again.

    Args:
        model (nn.Module): The model, whose weights are those of the training.

    Raises:
        UsageError: If some are not those that the config names.
    """
    frozen = frozen_weights(model)
    restorable = _restorable(model)
    lost = [
        name
        for name in frozen
        if not any(name.startswith(f'{place}.') for place in restorable)
    ]
    if lost:
        raise UsageError(
            f'tuned_only=True would drop {first_few(lost)}, which are frozen, '
            'but the config names no file to load them from; remove '
            'tuned_only, or set init_cfg of the backbone'
        )
    for place, module in restorable.items():
        anew = copy.deepcopy(module).cpu()
        anew.load_pretrained_weights()
        if not same_values(
            fingerprint(frozen_weights(module)),
            fingerprint(frozen_weights(anew)),
        ):
            raise UsageError(
                f'tuned_only=True leaves out the frozen weights of {place}, '
                f'but they are not those of {module.init_cfg["checkpoint"]}, '
                'which the config names (`load_from` may have replaced them);'
                ' leave tuned_only out'
            )


def _restorable(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that can load the weights that they started from."""
    return {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, 'load_pretrained_weights')
        and isinstance(module.init_cfg, dict)
        and module.init_cfg.get('type') == 'Pretrained'
    }
