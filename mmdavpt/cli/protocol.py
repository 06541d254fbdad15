"""Protocols: which images train, which choose the epoch, which are tested.

A config with ``protocols = dict(NAME=dict(...), ...)`` and
``protocol = NAME`` offers several. Each is a nested dict of changes to the
config; an empty one leaves it as it stands.
"""

import copy
from difflib import get_close_matches

from mmengine.config import Config

from mmdavpt.errors import UsageError

#: What one dataset loader reads, by which two of them are compared.
NOT_THE_IMAGES = ('pipeline', 'lazy_init', 'serialize_data', 'test_mode')


def with_protocol(cfg: Config, name: str | None = None) -> Config:
    """Return a config with one of its protocols applied.

    The result names the protocol in ``protocol`` and has no ``protocols``
    any more: what was applied cannot be exchanged for another.

    Args:
        cfg (Config): The config; it is not changed.
        name (str, optional): The protocol. Defaults to None, the one that
            the config names in ``protocol``.

    Returns:
        Config: The changed copy; without protocols and without a name, the
        config itself.

    Raises:
        UsageError: If the config has no protocols or not that one.
    """
    protocols = cfg.get('protocols')
    if protocols is None:
        if name in (None, cfg.get('protocol')):
            return cfg
        raise UsageError(_no_protocols(cfg, name))
    name = cfg.get('protocol') if name is None else name
    if name not in protocols:
        near = get_close_matches(str(name), protocols, n=1)
        raise UsageError(
            f'the config has no protocol {name!r}; it has '
            f'{", ".join(protocols)}'
            + (f'; did you mean {near[0]}?' if near else '')
        )
    cfg = copy.deepcopy(cfg)
    changes = cfg.pop('protocols')[name]
    cfg.protocol = name
    for key, value in changes.items():
        # Nothing can be merged into what is switched off.
        if isinstance(value, dict) and cfg.get(key) is None:
            cfg.pop(key, None)
    cfg.merge_from_dict(changes.to_dict())
    return cfg


def _no_protocols(cfg: Config, name: str) -> str:
    applied = cfg.get('protocol')
    if applied is not None:
        return (
            f'the protocol {name!r} cannot be applied: this config is a dump '
            f'in which {applied!r} already is; use the config that it came '
            'from'
        )
    return (
        f'--protocol {name}: the config has no protocols, so there is '
        'nothing to choose; leave the flag out'
    )


def selection_warning(cfg: dict) -> str | None:
    """Return a warning if a run chooses its epoch by the images of its test.

    Args:
        cfg (dict): The config.

    Returns:
        str | None: One sentence; None if the run chooses no epoch, or by
        other images.
    """
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    loaders = [cfg.get(f'{split}_dataloader') for split in ('val', 'test')]
    if hook.get('save_best') is None or None in loaders:
        return None
    val, test = (_images(loader['dataset']) for loader in loaders)
    if val != test:
        return None
    return (
        'the best checkpoint is chosen by the test images, as the released '
        'code of the paper does; do not report it as a test result'
    )


def _images(dataset: dict) -> dict:
    """Return the part of a dataset's config that says which images."""
    return {
        key: _images(value) if isinstance(value, dict) else value
        for key, value in dataset.items()
        if key not in NOT_THE_IMAGES
    }
