"""Select, count and list trainable parameters; name those that tuning adds."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

#: The attributes of a backbone that tuning adds, the last one a record of how
#: frozen weights are stored. All code that separates them from pre-trained
#: weights (freezing, strict loading, tuned-only files, parameter counts,
#: checks, export) uses this.
ADDED = ('prompts', 'bias_delta', 'gate_logits', 'tuners', 'frozen_dtype')


def is_added(name: str) -> bool:
    """Return whether tuning added a parameter or buffer of a backbone.

    Args:
        name (str): Its name, relative to the backbone.
    """
    return name.partition('.')[0] in ADDED


def select_trainable(module: nn.Module, patterns: Sequence[str]) -> None:
    """Train the parameters whose names match; freeze all others.

    Args:
        module (nn.Module): The module whose parameters are selected.
        patterns (Sequence[str]): Shell-style patterns (``*``, ``?``,
            ``[ab]``) of full parameter names, such as
            ``'layers.*.attn.proj.bias'``.

    Raises:
        ValueError: If a pattern matches no parameter.
    """
    parameters = dict(module.named_parameters())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in parameters):
            raise ValueError(
                f'the pattern {pattern!r} of trainable parameters matches no '
                f'parameter of {type(module).__name__}; there are for '
                f'example {list(parameters)[:4]} and '
                f'{list(parameters)[-4:]}'
            )
    for name, parameter in parameters.items():
        trains = any(fnmatchcase(name, pattern) for pattern in patterns)
        parameter.requires_grad_(trains)


def count_parameters(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Count the parameters of each group.

    A group is a child module; what tuning adds to the backbone counts on its
    own, each tuner by its name.

    Args:
        model (nn.Module): A model with a ``backbone``.

    Returns:
        dict[str, tuple[int, int]]: Group to (trainable, frozen).
    """
    groups: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        group, _, rest = name.partition('.')
        if group == 'backbone' and is_added(rest):
            parts = rest.split('.')
            group = '.'.join([group, *parts[: 1 + (parts[0] == 'tuners')]])
        trainable, frozen = groups.get(group, (0, 0))
        trained = parameter.numel() * parameter.requires_grad
        rest = parameter.numel() - trained
        groups[group] = trainable + trained, frozen + rest
    return groups


def parameter_table(model: nn.Module) -> str:
    """Return a table of trainable and frozen parameters per group."""
    groups = count_parameters(model)
    groups['total'] = tuple(map(sum, zip(*groups.values(), strict=True)))
    rows = [('group', 'trainable', 'frozen')]
    rows += [(name, f'{a:,}', f'{b:,}') for name, (a, b) in groups.items()]
    kinds = [(p.dtype, p.numel()) for p in model.parameters()]
    if half := sum(n for dtype, n in kinds if dtype == torch.bfloat16):
        rows.append(('in bfloat16', '', f'{half:,}'))
    width = max(len(name) for name, _, _ in rows)
    return '\n'.join(f'{n:<{width}}  {a:>13}  {b:>13}' for n, a, b in rows)
