"""Dicts of a config whose keys are for others to know."""

from mmseg.models.decode_heads.decode_head import BaseDecodeHead

from .config_keys import walk
from .known_keys import DEFAULT_CONSTRUCTOR, PLAIN_CONSTRUCTORS
from .type_places import resolve_type


def free_paths(cfg: dict) -> set[str]:
    """Return the paths of the dicts of which no key is known to be wrong.

    That is what only a type of the config reads, and not as an argument: the
    options of an own constructor of optimizers, the architecture of another
    backbone than a Vision Transformer, what a head is trained and tested
    with, which its segmentor hands to it, and transforms of Albumentations.

    Args:
        cfg (dict): The config, with plain values.

    Returns:
        Set[str]: Dotted paths.
    """
    scope = cfg.get('default_scope', 'mmengine')
    free = set()
    for path, node in walk(cfg):
        own = node.get('constructor', DEFAULT_CONSTRUCTOR)
        if str(own).rpartition('.')[2] not in PLAIN_CONSTRUCTORS:
            free.add(f'{path}.paramwise_cfg')
        if isinstance(node.get('arch'), dict) and not _is_vit(node, scope):
            free.add(f'{path}.arch')
        if str(node.get('type')).rpartition('.')[2].startswith('Albu'):
            free.add(f'{path}.transforms')
        if path.split('.')[0] == 'model' and (
            path != 'model' or _reads_itself(node, scope)
        ):
            free |= {f'{path}.train_cfg', f'{path}.test_cfg'}
    return free


def _reads_itself(model: dict, scope: str) -> bool:
    """Return whether a head of a segmentor has options of its own there."""
    heads = model.get('decode_head')
    return any(
        getattr(kind, name, None) is not getattr(BaseDecodeHead, name)
        for head in (heads if isinstance(heads, (list, tuple)) else [heads])
        if isinstance(head, dict)
        for kind in resolve_type(head.get('type', ''), scope)
        for name in ('loss', 'predict')
    )


def _is_vit(node: dict, scope: str) -> bool:
    return any(
        parent.__name__ == 'VisionTransformer'
        for kind in resolve_type(node.get('type', ''), scope)
        for parent in getattr(kind, '__mro__', ())
    )
