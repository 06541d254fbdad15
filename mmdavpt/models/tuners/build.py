"""Build tuners from a config."""

from collections.abc import Iterable, Mapping

from torch import nn

from mmdavpt.errors import check_choice, check_number, did_you_mean
from mmdavpt.registry import TUNERS

from .tuner import BackboneSizes, Tuner


def build_tuners(
    configs: Iterable[Mapping], sizes: BackboneSizes
) -> nn.ModuleDict:
    """Build the tuners of a backbone.

    Args:
        configs (Iterable[Mapping]): One for each tuner, with
            ``type``, optionally ``name``, and the arguments of the type.
        sizes (BackboneSizes): Sizes of the backbone.

    Returns:
        nn.ModuleDict: Names to tuners, in order. A name is that of the type
        unless ``name`` is given.

    Raises:
        ValueError: If there is no list, if a type is unknown, if a rank or a
            weight is too small, or if two tuners have the same name.
    """
    if isinstance(configs, (str, Mapping)):
        raise ValueError(
            f'`tuners` should be a list of configs, but got {configs!r}; put '
            'brackets around it'
        )
    tuners = nn.ModuleDict()
    for config in configs:
        arguments = dict(config) if isinstance(config, Mapping) else {}
        kind = arguments.pop('type', None)
        cls = TUNERS.get(kind) if isinstance(kind, str) else kind
        if not (isinstance(cls, type) and issubclass(cls, Tuner)):
            known = sorted(TUNERS.module_dict)
            raise ValueError(
                '`tuners` should list configs as dict(type=...), with types '
                f'out of {known}, but got {kind or config!r}'
                + did_you_mean(kind, known)
            )
        for option, least in (('rank', 1), ('consistency_weight', 0)):
            value = arguments.get(option, least)
            check_number(f'`{option}` of {cls.__name__}', value, least)
        name = arguments.pop('name', None) or cls.__name__
        if name in tuners:
            raise ValueError(
                f'two tuners are called {name!r}; tell them apart with '
                "dict(type=..., name='...')"
            )
        tuners[name] = cls(sizes, **arguments)
    return tuners


def check_method(
    method: str, methods: Iterable[str], option: str = 'method'
) -> None:
    """Check the name of a tuning method.

    Args:
        method (str): The name: a method, or a registered type of tuner.
        methods (Iterable[str]): Those of a recommended config.
        option (str): How users set it, for the message. Defaults to 'method'.

    Raises:
        UsageError: If it is unknown.
    """
    if method not in methods and TUNERS.get(method) is None:
        known = [*dict.fromkeys([*methods, *TUNERS.module_dict])]
        check_choice(option, method, known)
