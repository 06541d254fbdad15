"""Probe the losses of segmentation heads with logits that are right or wrong.

Some losses of MMSegmentation are for other outputs than a head has, and train
without an error.
"""

from collections.abc import Iterator

import torch
from torch import nn

from .class_counts import classes_of_heads, heads_of


def losses_that_reward_mistakes(model: nn.Module | None) -> Iterator[str]:
    """Yield losses that are not smaller for right than for wrong labels.

    Args:
        model (nn.Module, optional): The model, without wrapper.
    """
    heads = heads_of(model)
    for path in classes_of_heads(model):
        losses = getattr(heads[path], 'loss_decode', ())
        if not isinstance(losses, (nn.ModuleList, tuple)):
            losses = [losses]
        for loss in losses:
            try:
                right, wrong = _values(loss, heads[path])
            except Exception:  # the rehearsal says why
                continue
            if right >= wrong:
                yield (
                    f'{type(loss).__name__} of `model.{path}` is {right:.3g} '
                    f'for right labels and {wrong:.3g} for wrong ones with '
                    f'out_channels={heads[path].out_channels}; use another '
                    'loss, such as CrossEntropyLoss with use_sigmoid=True, or '
                    'remove out_channels=1'
                )


def _values(loss: nn.Module, head: nn.Module) -> list[float]:
    """Return a loss for right and for wrong logits."""
    # A softmax over one channel fails for other labels than 0.
    labels = torch.full((1, 8, 8), int(head.ignore_index == 0))
    channels = max(head.out_channels, 2)
    logits = nn.functional.one_hot(labels, channels).movedim(-1, 1) * 8.0 - 4
    logits = logits[:, -head.out_channels :]
    ignored = dict(weight=None, ignore_index=head.ignore_index)
    both = (loss(x, labels, **ignored) for x in (logits, -logits))
    return [value.mean().item() for value in both]
