"""Build a guidance metric from its config."""

import warnings
from collections.abc import Mapping

from torch import nn

from mmdavpt.errors import UsageError, did_you_mean
from mmdavpt.registry import GUIDANCE_METRICS

#: Names of metrics in version 0.1.0.
OLD_NAMES = dict(
    proxy_anchor='ProxyAnchor', proxy_nca='ProxyNCA', triplet='Triplet'
)


def build_metric(
    metric: Mapping | str | None,
    default: Mapping,
    old_arguments: Mapping[str, object],
) -> nn.Module:
    """Build a guidance metric.

    Args:
        metric (Mapping | str, optional): Config of the metric; or its name as
            in version 0.1.0, with ``old_arguments``.
        default (Mapping): Config to use if there is none. Its arguments are
            also the defaults of a metric of the same type.
        old_arguments (Mapping[str, object]): Arguments next to the metric, as
            in version 0.1.0; None for those that were not given.

    Raises:
        UsageError: If there is no such metric, or if arguments are given in
            both places.
    """
    old_arguments = {k: v for k, v in old_arguments.items() if v is not None}
    if isinstance(metric, Mapping) and old_arguments:
        raise UsageError(
            f'put {", ".join(old_arguments)} of DAVPTLoss into '
            'metric=dict(type=..., ...), next to its type'
        )
    if isinstance(metric, str) or old_arguments:
        warn_of_old_spelling()
        name = metric or default['type']
        metric = dict(type=OLD_NAMES.get(name, name), **old_arguments)
    arguments = dict(default if metric is None else metric)
    name = arguments.pop('type', None)
    known = GUIDANCE_METRICS.module_dict
    kind = known.get(str(name).removeprefix('mmdavpt.'))
    if kind is None:
        raise UsageError(
            f'metric of DAVPTLoss should be a dict with a type out of '
            f'{sorted(known)}, but got {metric!r}{did_you_mean(name, known)}'
        )
    if kind is known[default['type']]:
        arguments = {**default, **arguments}
        arguments.pop('type')
    return kind(**arguments)


def warn_of_old_spelling() -> None:
    """Warn that arguments of the metric moved into its config.

    Python shows a warning once for each place, unless it was ignored, as by
    checks that build a model only to look at it.
    """
    warnings.warn(
        "metric='proxy_anchor', alpha=..., margin=..., positive_mean=... of "
        'DAVPTLoss is deprecated; write metric=dict('
        "type='ProxyAnchor', alpha=..., margin=...) instead",
        FutureWarning,
        stacklevel=2,
    )
