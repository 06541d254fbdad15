"""The presets of the guidance loss, and the checks of its options."""

import math
from collections.abc import Mapping
from numbers import Real

from .proxy_anchor import POSITIVE_MEANS

TOKENS = (
    'saliency',
    'patch_output',
    'patch_input',
    'patch_query',
    'patch_key',
    'patch_raw',
)
PROMPTS = ('query', 'input', 'raw')
CLS = ('query', 'input')

#: What the paper describes, and what the released code computes whatever its
#: ``patch_type`` says; :class:`.DAVPTLoss` names the sources.
PRESETS = {
    'paper': dict(
        token='saliency',
        prompt='query',
        cls='query',
        prompt_scale=1.0,
        positive_mean='positive',
    ),
    'released': dict(
        token='patch_raw',
        prompt='raw',
        cls='query',
        prompt_scale=5.0,
        positive_mean='all',
    ),
}


def check_choice(name: str, value: object, choices: tuple) -> None:
    """Check an option that has a fixed set of values.

    Args:
        name (str): The option.
        value (object): What was given.
        choices (tuple): The values that it may have.

    Raises:
        ValueError: If it has another one.
    """
    if value not in choices:
        raise ValueError(
            f'{name} of DAVPTLoss should be one of '
            f'{tuple(choices)}, but got {value!r}'
        )


def check_number(
    name: str,
    value: object,
    least: float = -math.inf,
    positive: bool = False,
) -> None:
    """Check an option that is a number.

    Args:
        name (str): The option.
        value (object): What was given.
        least (float): The least that it may be. Defaults to -inf.
        positive (bool): Whether it must be above 0. Defaults to False.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is too small, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f'{name} of DAVPTLoss should be a number, but got {value!r}'
        )
    if not math.isfinite(value) or value < least:
        bound = '' if least == -math.inf else f' and at least {least:g}'
        raise ValueError(
            f'{name} of DAVPTLoss should be finite{bound}, but got {value!r}'
        )
    if positive and value <= 0:
        raise ValueError(
            f'{name} of DAVPTLoss should be positive, but got {value!r}'
        )


def check_no_surplus(
    metric: str, alpha: object, positive_mean: object
) -> None:
    """Check that no option was given that the metric has no use for.

    Args:
        metric (str): The metric.
        alpha (object): None if it was not given.
        positive_mean (object): None if it was not given.

    Raises:
        ValueError: If one was given that does nothing.
    """
    if metric == 'triplet' and alpha is not None:
        raise ValueError(
            "alpha has no meaning for metric='triplet', but got "
            f'alpha={alpha!r}; leave alpha out or choose another metric'
        )
    if metric != 'proxy_anchor' and positive_mean is not None:
        raise ValueError(
            f'positive_mean has no meaning for metric={metric!r}, but got '
            f'positive_mean={positive_mean!r}; leave it out or choose '
            "metric='proxy_anchor'"
        )


def check_values(options: Mapping[str, object]) -> None:
    """Check the values of resolved options.

    Args:
        options (Mapping[str, object]): The arguments of :class:`.DAVPTLoss`.

    Raises:
        ValueError: If a value is unknown or out of range, or if both weights
            are 0.
        TypeError: If a number is none.
    """
    choices = dict(
        token=TOKENS, prompt=PROMPTS, cls=CLS, positive_mean=POSITIVE_MEANS
    )
    for name, value in options.items():
        if name in choices:
            check_choice(name, value, choices[name])
        elif name in ('token_weight', 'cls_weight'):
            check_number(name, value, least=0)
        elif name in ('alpha', 'prompt_scale'):
            check_number(name, value, positive=True)
        elif name == 'margin':
            check_number(name, value)
    if options['token_weight'] == 0 and options['cls_weight'] == 0:
        raise ValueError(
            'token_weight and cls_weight of DAVPTLoss are both 0, which '
            'guides nothing; give one of them a positive weight, or leave '
            'the guidance out of the model'
        )
