"""Probe the losses of segmentation heads with logits that are right or wrong.

Some losses of MMSegmentation are for other outputs or labels than a head has,
and train without an error.
"""

from collections.abc import Iterator

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from .class_counts import classes_of_heads, heads_of


def reversed_losses(model: nn.Module | None) -> Iterator[str]:
    """Yield losses that are not smaller for the right labels.

    Args:
        model (nn.Module, optional): The model, without wrapper.
    """
    for path, head, loss in _losses(model):
        labels, logits = _probe(head)
        right = _value(loss, logits, labels, head)
        wrong = _value(loss, -logits, labels, head)
        if None not in (right, wrong) and not right < wrong:
            yield (
                f'{type(loss).__name__} of `model.{path}` is '
                f'{float(right):.3g} for right labels and {float(wrong):.3g} '
                f'for wrong ones with out_channels={head.out_channels}; use '
                'another loss, such as CrossEntropyLoss, or remove '
                'out_channels=1'
            )


def learnt_ignored_labels(model: nn.Module | None) -> Iterator[str]:
    """Yield losses that pixels without a label have an effect on.

    Args:
        model (nn.Module, optional): The model, without wrapper.
    """
    for path, head, loss in _losses(model):
        labels, logits = _probe(head)
        if head.ignore_index is None:
            continue
        labels[:, 0] = head.ignore_index
        logits = (logits / 9).requires_grad_()
        value = _value(loss, logits, labels, head)
        if value is None:
            continue
        (gradient,) = torch.autograd.grad(value, logits)
        if gradient[:, :, 0].any():
            yield (
                f'{type(loss).__name__} of `model.{path}` also learns from '
                f'pixels with the ignored label {head.ignore_index}, such as '
                'those of padding'
            )


def _losses(
    model: nn.Module | None,
) -> Iterator[tuple[str, BaseDecodeHead, nn.Module]]:
    """Yield the losses of heads that predict the labels."""
    heads = heads_of(model)
    for path in classes_of_heads(model):
        losses = getattr(heads[path], 'loss_decode', ())
        several = isinstance(losses, (nn.ModuleList, tuple))
        for loss in losses if several else [losses]:
            yield path, heads[path], loss


def _probe(head: BaseDecodeHead) -> tuple[Tensor, Tensor]:
    """Return labels, and logits that are right."""
    labels = torch.arange(64).view(1, 8, 8) % head.num_classes
    channels = max(head.out_channels, 2)
    logits = nn.functional.one_hot(labels, channels).movedim(-1, 1) * 8.0 - 4
    return labels, logits[:, -head.out_channels :]


def _value(
    loss: nn.Module, logits: Tensor, labels: Tensor, head: BaseDecodeHead
) -> Tensor | None:
    """Return a loss; None if it cannot be probed, but perhaps trained."""
    try:
        value = loss(
            logits, labels, weight=None, ignore_index=head.ignore_index
        )
        return value.mean()
    except Exception:  # the rehearsal says why
        return None
