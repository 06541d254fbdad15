"""Probe the losses of segmentation heads with logits that are right or wrong.

Some losses of MMSegmentation are for other outputs or labels than a head has,
and train without an error.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .class_counts import classes_of_heads, heads_of


def loss_defects(model: nn.Module | None, errors: bool) -> Iterator[str]:
    """Yield losses that reward wrong labels, or learn from ignored pixels.

    Args:
        model (nn.Module, optional): The model, without wrapper.
        errors (bool): Whether to yield losses that reward wrong labels,
            instead of those that learn from ignored pixels.
    """
    heads = heads_of(model)
    for path in classes_of_heads(model):
        head = heads[path]
        losses = getattr(head, 'loss_decode', ())
        several = isinstance(losses, (nn.ModuleList, tuple))
        for loss in losses if several else [losses]:
            probe = _reward_of_wrong if errors else _effect_of_ignored
            try:
                defect = probe(loss, head)
            except Exception:  # the rehearsal says why
                continue
            if defect:
                yield f'{type(loss).__name__} of `model.{path}` {defect}'


def _reward_of_wrong(loss: nn.Module, head: nn.Module) -> str | None:
    labels, logits = _probe(head)
    right, wrong = (
        _value(loss, head, sign * logits, labels).item() for sign in (1, -1)
    )
    if right < wrong:
        return None
    return (
        f'is {right:.3g} for right labels and {wrong:.3g} for wrong ones with '
        f'out_channels={head.out_channels}; use another loss, such as '
        'CrossEntropyLoss, or remove out_channels=1'
    )


def _effect_of_ignored(loss: nn.Module, head: nn.Module) -> str | None:
    labels, logits = _probe(head)
    labels[:, 0] = head.ignore_index
    logits = (logits / 9).requires_grad_()
    value = _value(loss, head, logits, labels)
    if not torch.autograd.grad(value, logits)[0][:, :, 0].any():
        return None
    return (
        f'also learns from pixels with the ignored label {head.ignore_index}, '
        'such as those of padding'
    )


def _probe(head: nn.Module) -> tuple[Tensor, Tensor]:
    """Return labels, and logits that are right."""
    labels = torch.arange(64).view(1, 8, 8) % head.num_classes
    channels = max(head.out_channels, 2)
    logits = nn.functional.one_hot(labels, channels).movedim(-1, 1) * 8.0 - 4
    return labels, logits[:, -head.out_channels :]


def _value(
    loss: nn.Module, head: nn.Module, logits: Tensor, labels: Tensor
) -> Tensor:
    ignored = head.ignore_index
    return loss(logits, labels, weight=None, ignore_index=ignored).mean()
