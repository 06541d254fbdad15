"""Reload a model's frozen weights, and check that this is possible."""

import copy

from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few, prefix_errors

from .fingerprint import fingerprint, same_values


def frozen_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of a model that do not train, by name.

    Args:
        model (nn.Module): The model, without wrapper.
    """
    named = model.named_parameters()
    return {name: p.detach() for name, p in named if not p.requires_grad}


def reload_pretrained(model: nn.Module) -> list[str]:
    """Load the pre-trained weights that a model's config names.

    Args:
        model (nn.Module): The model.

    Returns:
        list[str]: The files they were loaded from.

    Raises:
        UsageError: If the config names none, or they cannot be read.
    """
    modules = _pretrained_modules(model).values()
    if not modules:
        raise UsageError(
            'a tuned-only checkpoint needs the frozen weights it was tuned '
            'on, but the config names none; set model.backbone.init_cfg='
            "dict(type='Pretrained', checkpoint=FILE)"
        )
    needed = 'a tuned-only checkpoint needs the frozen weights'
    for module in modules:
        with prefix_errors(needed, FileNotFoundError):
            module.load_pretrained_weights()
    return [module.init_cfg['checkpoint'] for module in modules]


def check_restorable(model: nn.Module) -> None:
    """Check that a model's config provides all of its frozen weights.

    Args:
        model (nn.Module): The model with the weights of the training.

    Raises:
        UsageError: If the config does not provide some of the frozen weights.
    """
    modules = _pretrained_modules(model)
    kept = tuple(f'{prefix}.' for prefix in modules)
    frozen = frozen_weights(model)
    lost = [name for name in frozen if not name.startswith(kept)]
    if lost:
        raise UsageError(
            f'tuned_only=True would drop {first_few(lost)}, which are frozen, '
            'but the config names no file to load them from; remove '
            'tuned_only, or set init_cfg of the backbone'
        )
    for name, module in modules.items():
        reloaded = copy.deepcopy(module).cpu()
        reloaded.load_pretrained_weights()
        frozen = map(frozen_weights, (module, reloaded))
        if not same_values(*map(fingerprint, frozen)):
            raise UsageError(
                f'tuned_only=True would drop the frozen weights of {name}, '
                f'but they differ from {module.init_cfg["checkpoint"]}, which '
                'the config names (`load_from` may have replaced them); '
                'remove tuned_only'
            )


def _pretrained_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that can reload their pre-trained weights."""
    return {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, 'load_pretrained_weights')
        and isinstance(module.init_cfg, dict)
        and module.init_cfg.get('type') == 'Pretrained'
    }
