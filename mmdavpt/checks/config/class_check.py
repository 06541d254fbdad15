"""Whether heads, data and losses have the same classes."""

from collections.abc import Iterator, Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from mmdavpt.checks.data.dataset_places import datasets_of_splits

from .build_check import heads_of
from .type_places import resolve_type


def class_defects(
    cfg: dict, model: nn.Module, training: bool
) -> Iterator[str]:
    """Yield where numbers of classes differ, one sentence each.

    Args:
        cfg (dict): The merged config, with plain values.
        model (nn.Module): What it describes.
        training (bool): Whether it is to train, and not to test.
    """
    counts = {
        f'model.{path}.num_classes': head.num_classes
        for path, head in heads_of(model).items()
        if _counts_classes(head)
    }
    for path, node in (
        ('data_preprocessor', cfg.get('data_preprocessor')),
        ('model.data_preprocessor', cfg['model'].get('data_preprocessor')),
    ):
        if isinstance(node, dict) and node.get('num_classes') is not None:
            counts[f'{path}.num_classes'] = node['num_classes']
    splits = ('train', 'val') if training else ('test',)
    for _, path, dataset in datasets_of_splits(cfg, splits):
        classes = _known_classes(dataset, cfg)
        if classes is not None:
            counts[f'the classes of {path}'] = len(classes)
    if len(set(counts.values())) > 1:
        yield 'numbers of classes should be the same, but ' + ', '.join(
            f'{path} {"are" if path[0] == "t" else "is"} {number}'
            for path, number in counts.items()
        )
    yield from _class_weights(model)


def _counts_classes(head: nn.Module) -> bool:
    """Return whether a head tells the classes of the data apart.

    An own loss may be of other labels, such as borders of STDCHead.
    """
    own_loss = isinstance(head, BaseDecodeHead) and (
        type(head).loss_by_feat is not BaseDecodeHead.loss_by_feat
    )
    return isinstance(getattr(head, 'num_classes', None), int) and not own_loss


def _class_weights(model: nn.Module) -> Iterator[str]:
    for path, head in heads_of(model).items():
        for name, loss in head.named_modules():
            weights = getattr(loss, 'class_weight', None)
            if (
                isinstance(weights, Sequence)
                and not isinstance(weights, str)
                and len(weights) != head.num_classes
            ):
                yield (
                    f'`model.{path}.{name}.class_weight` has {len(weights)} '
                    f'weights, but the head has {head.num_classes} classes'
                )


def _known_classes(dataset: dict, cfg: dict) -> Sequence[str] | None:
    """Return the classes that a dataset has, where that needs no data."""
    given = (dataset.get('metainfo') or {}).get('classes')
    if isinstance(given, (list, tuple)):
        return given
    if given is not None or not isinstance(dataset.get('type'), str):
        return None
    kinds = resolve_type(dataset['type'], cfg.get('default_scope', 'mmengine'))
    known = getattr(kinds[0], 'METAINFO', {}) if kinds else {}
    return known.get('classes')
