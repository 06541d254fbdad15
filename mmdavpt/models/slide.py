"""Sliding-window inference with batches of windows."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from mmdavpt.errors import UsageError

#: Default number of windows in one forward pass of the backbone.
WINDOW_BATCH = 8


def window_starts(length: int, crop: int, stride: int) -> list[int]:
    """Return where the windows along one side start, as in MMSegmentation.

    The last window ends with the image. An image shorter than the crop gets
    one window of its own length.

    Args:
        length (int): Pixels of the image along this side.
        crop (int): Pixels of a window along this side.
        stride (int): Pixels between two windows.

    Returns:
        list[int]: First pixels, ascending.

    Raises:
        UsageError: If a number is not positive, or if there would be pixels
            between two windows.
    """
    last = max(length - crop, 0)
    if min(crop, stride) < 1 or (last and stride > crop):
        raise UsageError(
            '`test_cfg.stride` should be positive and at most '
            '`test_cfg.crop_size`, or windows leave gaps, but got '
            f'{stride} and {crop}; change the stride'
        )
    return [*range(0, last, stride), last]


def slide_logits(
    inputs: Tensor,
    encode: Callable[[Tensor], object],
    decode: Callable[[object, int, tuple[int, int]], Tensor],
    num_channels: int,
    crop_size: Sequence[int],
    stride: Sequence[int],
    window_batch: int = WINDOW_BATCH,
) -> Tensor:
    """Return the logits of images, averaged over overlapping windows.

    Windows, counts and order of summation equal
    ``mmseg.models.EncoderDecoder.slide_inference``. Only one full-size map is
    kept, to which windows are added in place. The head decodes one window at
    a time: at full resolution it needs more memory for one window than the
    backbone for several, and is no faster in batches.

    Args:
        inputs (Tensor): Images with shape (B, C, H, W).
        encode (Callable): Returns features of windows with shape
            (n, C, h, w): tensors with n rows, in any nesting.
        decode (Callable): Returns logits with shape (1, K, h, w) from the
            features of one window, the index of its image, and its size.
        num_channels (int): Number of channels K of the logits.
        crop_size (Sequence[int]): Height and width of a window in pixels.
        stride (Sequence[int]): Rows and columns between two windows.
        window_batch (int): Maximum number of windows to encode at once.
            Defaults to 8.

    Returns:
        Tensor: Shape (B, K, H, W).

    Raises:
        UsageError: If the windows leave gaps, or if the features cannot be
            split by window.
    """
    batch_size, _, *size = inputs.shape
    height, width = map(min, crop_size, size)
    tops, lefts = map(window_starts, size, crop_size, stride)
    windows = list(product(range(batch_size), tops, lefts))
    logits = inputs.new_zeros(batch_size, num_channels, *size)
    for first in range(0, len(windows), window_batch):
        encoded = windows[first : first + window_batch]
        cuts = [_cut(inputs, *window, height, width) for window in encoded]
        features = encode(torch.stack(cuts))
        for i, window in enumerate(encoded):
            one = decode(_row(features, i), window[0], (height, width))
            _check_single(one, features)
            _cut(logits, *window, height, width).add_(one[0])
        del features  # before the next windows are encoded
    counts = torch.zeros(size)
    for top, left in product(tops, lefts):
        counts[top : top + height, left : left + width] += 1
    return logits.div_(counts.to(logits))


def _cut(
    images: Tensor, image: int, top: int, left: int, height: int, width: int
) -> Tensor:
    """Return a view of one window."""
    return images[image, :, top : top + height, left : left + width]


def _row(features: object, index: int) -> object:
    """Return the features of one window, as a batch of one."""
    return tree_map_only(Tensor, lambda x: x[index : index + 1], features)


def _check_single(logits: Tensor, features: object) -> None:
    """Raise if the head decoded several windows instead of one."""
    if len(logits) != 1:
        raise UsageError(
            "features with mode='slide' should be tensors, or tuples, lists "
            'and dicts of tensors, which can be split by window, but got '
            f'{type(features).__name__}, from which the head decodes '
            f'{len(logits)} windows at once; set test_cfg.window_batch=1'
        )
