"""Protocols: which images train, which choose the epoch, which are tested.

A config with ``protocols = dict(NAME=dict(...), ...)`` and
``protocol = NAME`` offers several. Each is a nested dict of changes to the
config; an empty one changes nothing.
"""

import copy

from mmengine.config import Config

from mmdavpt.errors import UsageError, check_choice


def with_protocol(cfg: Config, name: str | None = None) -> Config:
    """Return a copy of a config with one of its protocols applied.

    The copy names the protocol in ``protocol`` and has no ``protocols``, since
    another one can no longer be applied.

    Args:
        cfg (Config): The config; it does not change.
        name (str, optional): The protocol. Defaults to None, the one that
            the config names in ``protocol``.

    Returns:
        Config: The copy; the config itself if it has no protocols.

    Raises:
        UsageError: If the config does not have the protocol.
    """
    protocols, default = cfg.get('protocols'), cfg.get('protocol')
    name = default if name is None else name
    if protocols is None:
        if name == default:
            return cfg
        why = 'the config has no protocols; omit the flag'
        if default is not None:
            why = f'this dumped config already has the protocol {default!r}'
        raise UsageError(f'--protocol {name}: {why}')
    check_choice('the protocol of the config', name, protocols)
    cfg = copy.deepcopy(cfg)
    changes = cfg.pop('protocols')[name]
    cfg.protocol = name
    for key, value in changes.items():
        # mmengine cannot merge a dict into None.
        if isinstance(value, dict) and cfg.get(key) is None:
            cfg.pop(key, None)
    cfg.merge_from_dict(changes.to_dict())
    return cfg


def selection_warning(cfg: dict) -> str | None:
    """Return a warning if a run chooses its epoch by the test images.

    Args:
        cfg (dict): The config.

    Returns:
        str | None: One sentence; None if the run chooses no epoch, or by
        other images.
    """
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if hook.get('save_best') is None or not validates_test_images(cfg):
        return None
    return (
        'the best checkpoint is chosen by the test images, as in the '
        "paper's released code; do not report it as a test result"
    )


def validates_test_images(cfg: dict) -> bool:
    """Return whether the validation images of a config are its test images.

    Args:
        cfg (dict): The config.
    """
    loaders = [cfg.get(f'{split}_dataloader') for split in ('val', 'test')]
    if None in loaders:
        return False
    # These keys do not decide which images a dataset has.
    own = dict(pipeline=None, test_mode=None)
    val, test = ({**loader['dataset'], **own} for loader in loaders)
    return val == test
