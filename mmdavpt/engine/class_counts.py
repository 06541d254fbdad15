"""Compare the classes of datasets with each other and with a model's heads."""

from collections.abc import Mapping

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from mmdavpt.errors import UsageError, first_few


def heads_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the heads of a classifier or segmentor.

    Args:
        model (nn.Module): The model, without wrapper.

    Returns:
        dict[str, nn.Module]: By their path in the model's config, such as
        'auxiliary_head.0'.
    """
    found = {}
    for name in ('head', 'decode_head', 'auxiliary_head'):
        head = getattr(model, name, None)
        if isinstance(head, nn.ModuleList):
            found.update({f'{name}.{i}': part for i, part in enumerate(head)})
        elif head is not None:
            found[name] = head
    return found


def classes_of_heads(model: nn.Module) -> dict[str, int]:
    """Return the number of classes of each head that predicts the labels.

    Heads without ``num_classes`` are skipped, and so are heads with their own
    loss, which may learn other labels (STDCHead: borders).

    Args:
        model (nn.Module): The model, without wrapper.
    """
    found, plain = {}, BaseDecodeHead.loss_by_feat
    for name, head in heads_of(model).items():
        decodes = isinstance(head, BaseDecodeHead)
        other = decodes and type(head).loss_by_feat is not plain
        if isinstance(getattr(head, 'num_classes', None), int) and not other:
            found[name] = head.num_classes
    return found


def metainfo_of(dataset: object) -> Mapping:
    """Return what a dataset declares, such as its classes."""
    return getattr(dataset, 'metainfo', {})


def class_count_defect(heads: dict[str, int], num_classes: int) -> str | None:
    """Return the message for a head with another number of classes.

    Args:
        heads (dict[str, int]): What :func:`classes_of_heads` returns.
        num_classes (int): The number of classes of the training set.

    Returns:
        str | None: None if all agree.
    """
    for name, number in heads.items():
        if number != num_classes:
            return (
                f'the training set has {num_classes} classes, but the model '
                f'has num_classes={number} in its {name}; set '
                f'model.{name}.num_classes={num_classes}'
            )
    return None


def label_defect(
    expected: Mapping,
    found: Mapping,
    reference: str = 'training set',
    other: str = 'validation set',
) -> str | None:
    """Return the message for two datasets that number classes differently.

    Args:
        expected (Mapping): The ``metainfo`` of the reference.
        found (Mapping): The ``metainfo`` of the other dataset.
        reference (str): Name of the reference. Defaults to 'training set'.
        other (str): Name of the other dataset. Defaults to 'validation set'.

    Returns:
        str | None: None if they agree or one of them is unknown.
    """
    one, two = expected.get('classes'), found.get('classes')
    if one is None or two is None or list(one) == list(two):
        return None
    place = {name: k for k, name in enumerate(one)}
    moved = [
        f'{name!r} ({place[name]} became {k})'
        for k, name in enumerate(two)
        if place.get(name, k) != k
    ]
    found = {
        'only one of them has': sorted(set(one) ^ set(two)),
        'other numbers belong to': moved,
    }
    which = [f'{what} {first_few(f, 5)}' for what, f in found.items() if f]
    return (
        f'the {other} should have the {len(one)} classes of the '
        f'{reference} in the same order, but it has {len(two)}, and '
        f'{" and ".join(which)}; check for missing, extra or renamed '
        'class folders, or set the same `metainfo.classes` for both'
    )


def check_classes(model: nn.Module, dataset: object) -> None:
    """Check that a training set has images, and each head its classes.

    Args:
        model (nn.Module): The model, without wrapper.
        dataset (Dataset): The training set.

    Raises:
        UsageError: If there are no images, or the numbers of classes differ.
    """
    if not len(dataset):
        raise UsageError(
            f'the training set {type(dataset).__name__} should have images, '
            'but it has none; check its data_root, data_prefix and img_suffix'
        )
    classes = metainfo_of(dataset).get('classes')
    if classes is not None:
        defect = class_count_defect(classes_of_heads(model), len(classes))
        if defect:
            raise UsageError(defect)
