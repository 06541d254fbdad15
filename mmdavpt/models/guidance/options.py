"""Checks of the options of guidance."""

from numbers import Real
from typing import Iterable, Optional

from mmdavpt.mapping import NORMALIZATIONS
from mmdavpt.models.backbones import SALIENCY_KEYS

#: What guides of an image with pixel labels.
LABELS = ('random', 'present')


def check_mapping_options(
    num_classes: int, background_class: Optional[int], normalize: str
) -> None:
    """Check what the class-to-prompt mapping is made with.

    Args:
        num_classes (int): The number of classes.
        background_class (int, optional): See :class:`.PromptGuidance`.
        normalize (str): See :class:`.PromptGuidance`.

    Raises:
        ValueError: If a value is unknown or out of range.
    """
    if normalize not in NORMALIZATIONS:
        raise ValueError(
            f'`normalize` should be one of {NORMALIZATIONS}, '
            f'but got {normalize!r}'
        )
    if background_class is not None and not (
        0 <= background_class < num_classes
    ):
        raise ValueError(
            f'`background_class` should be one of the {num_classes} '
            f'classes or None, but got {background_class}'
        )


def check_sample_options(gather: bool, queue_size: int) -> None:
    """Check what other samples take part in the loss of a batch.

    Args:
        gather (bool): See :class:`.PromptGuidance`.
        queue_size (int): See :class:`.PromptGuidance`.

    Raises:
        TypeError: If ``gather`` is neither True nor False.
        ValueError: If the size of the queue is none.
    """
    if not isinstance(gather, bool):
        raise TypeError(
            f'`gather` should be True or False, but got {gather!r}'
        )
    if isinstance(queue_size, bool) or not (
        isinstance(queue_size, int) and queue_size >= 0
    ):
        raise ValueError(
            '`queue_size` should be the number of past samples, 0 for '
            f'none, but got {queue_size!r}'
        )


def check_labels(labels: str, min_coverage: Optional[float]) -> None:
    """Check what guides of an image with pixel labels.

    Args:
        labels (str): Out of ``LABELS``.
        min_coverage (float, optional): See :class:`.PromptGuidance`.

    Raises:
        TypeError: If ``min_coverage`` is no number.
        ValueError: If a value is unknown or out of range, or if both
            contradict each other.
    """
    if labels not in LABELS:
        raise ValueError(
            f'`labels` should be one of {LABELS}, but got {labels!r}'
        )
    if min_coverage is None:
        return
    if not isinstance(min_coverage, Real):
        raise TypeError(
            f'`min_coverage` should be a number, but got {min_coverage!r}'
        )
    if labels != 'present':
        raise ValueError(
            "`min_coverage` is the part of a patch that labels='present' "
            f'asks for, but got {min_coverage} with labels={labels!r}'
        )
    if not 0 < min_coverage <= 1:
        raise ValueError(
            f'`min_coverage` should be in (0, 1], but got {min_coverage}'
        )


def check_saliency(
    saliency_keys: str, labels: str, tokens: Iterable[str]
) -> None:
    """Check that a saliency is there where it is spoken of, and only there.

    Args:
        saliency_keys (str): Out of ``SALIENCY_KEYS``.
        labels (str): Out of ``LABELS``.
        tokens (Iterable[str]): The tokens that the loss uses.

    Raises:
        ValueError: If a value is unknown, or if they contradict each other.
    """
    if saliency_keys not in SALIENCY_KEYS:
        raise ValueError(
            f'`saliency_keys` should be one of {SALIENCY_KEYS}, '
            f'but got {saliency_keys!r}'
        )
    used = [*tokens]
    if saliency_keys != 'patches' and 'saliency' not in used:
        raise ValueError(
            f'`saliency_keys` is {saliency_keys!r}, but the loss uses no '
            f'saliency ({used}); leave saliency_keys out'
        )
    if labels == 'present' and 'saliency' in used:
        raise ValueError(
            "labels='present' makes samples of patches, so the token of the "
            "loss should be one of them, but is 'saliency'; set "
            "guidance.loss.token='patch_output', or token_weight=0"
        )
