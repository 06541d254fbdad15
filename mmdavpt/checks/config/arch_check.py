"""Names of architectures that no backbone has."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from mmengine.registry import MODELS

from mmdavpt.errors import UsageError

from .config_keys import walk
from .type_places import resolve_type


@contextmanager
def naming_architectures(cfg: dict) -> Iterator[None]:
    """Say which architectures there are, if a model fails for another one.

    Only then: some backbones add to theirs when they are built.

    Args:
        cfg (dict): The merged config, with plain values.

    Raises:
        UsageError: If the body raises one.
    """
    try:
        yield
    except UsageError as error:
        for sentence in arch_defects(cfg):
            raise UsageError(
                f'the config cannot be run: {sentence}'
            ) from error
        raise


def arch_defects(cfg: dict) -> Iterator[str]:
    """Yield which parts of a model have an ``arch`` that theirs has not.

    Args:
        cfg (dict): The merged config, with plain values.
    """
    scope = cfg.get('default_scope', 'mmengine')
    for path, node in walk(cfg['model'], 'model'):
        arch = node.get('arch')
        if not isinstance(arch, str) or 'type' not in node:
            continue
        for kind in resolve_type(node['type'], scope, MODELS):
            known = getattr(kind, 'arch_zoo', None)
            if (
                inspect.isclass(kind)
                and isinstance(known, dict)
                and not {arch, arch.lower()} & set(known)
            ):
                near = get_close_matches(arch.lower(), known, n=1)
                yield (
                    f'`{path}.arch` should be out of {", ".join(known)}, but '
                    f'is {arch!r}'
                    + (f'; did you mean {near[0]!r}?' if near else '')
                )
