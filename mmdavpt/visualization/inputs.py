"""What a pipeline packs, as a picture."""

from typing import NamedTuple, Optional, Tuple

import numpy as np
from torch import Tensor

from mmdavpt.checks.introspection import walk
from mmdavpt.errors import UsageError


class Encoding(NamedTuple):
    """How a pipeline changes the values of the images.

    Args:
        mean (Tuple[float, ...], optional): What it subtracts.
            Defaults to None: nothing.
        std (Tuple[float, ...], optional): What it divides by then.
        scale (float): What 1 stands for before that. Defaults to 1.0.
    """

    mean: Optional[Tuple[float, ...]] = None
    std: Optional[Tuple[float, ...]] = None
    scale: float = 1.0


def encoding_of(dataset: dict) -> Encoding:
    """Return how the pipelines of a dataset's config encode images.

    Args:
        dataset (dict): The config of a dataset, or of a wrapper.

    Returns:
        Encoding: Of ``Normalize``, or of torchvision's ``ToTensor`` and
        ``Normalize``; usually nothing, as the model normalises.

    Raises:
        UsageError: If parts of it are normalised differently.
    """
    found, scale = set(), 1.0
    for _, node in walk(dataset):
        name = str(node.get('type'))
        if name.endswith('Normalize'):
            found.add((tuple(node['mean']), tuple(node['std'])))
        elif name in ('torchvision/ToTensor', 'torchvision.ToTensor'):
            scale = 255.0
    if len(found) > 1:
        raise UsageError(
            'the pipelines of the dataset should normalise alike, but their '
            f'mean and std are {sorted(found)}; draw one dataset at a time'
        )
    return Encoding(*next(iter(found), (None, None)), scale)


def model_picture(
    inputs: Tensor, encoding: Encoding, flips_channels: bool
) -> np.ndarray:
    """Return what a pipeline hands on as a picture, as the model sees it.

    The three channels that reach the model are drawn as red, green and blue.

    Args:
        inputs (Tensor): What the pipeline packs, with shape (C, H, W).
        encoding (Encoding): What it did to the values; undone here.
        flips_channels (bool): Whether the data preprocessor turns BGR into
            RGB, or the reverse.

    Returns:
        np.ndarray: uint8, with shape (H, W, 3).

    Raises:
        UsageError: If the inputs are no image of one or three channels.
    """
    if inputs.ndim != 3 or len(inputs) not in (1, 3):
        raise UsageError(
            'the pipeline should pack images with shape (3, H, W) or '
            f'(1, H, W), but packs {tuple(inputs.shape)}'
        )
    values = inputs.float()
    if encoding.mean is not None:
        mean, std = (
            values.new_tensor(v)[:, None, None]
            for v in (encoding.mean, encoding.std)
        )
        values = values * std + mean
    if flips_channels and len(values) == 3:
        values = values.flip(0)
    values = (values * encoding.scale).round().clamp(0, 255)
    return values.expand(3, -1, -1).permute(1, 2, 0).byte().numpy()


def flips_channels(cfg: dict) -> bool:
    """Return whether the data preprocessor of a config swaps red and blue.

    Args:
        cfg (dict): The config. The model's own preprocessor counts first, as
            for a run.
    """
    found = cfg['model'].get('data_preprocessor')
    if found is None:
        found = cfg.get('data_preprocessor') or {}
    return any(found.get(k) for k in ('to_rgb', 'bgr_to_rgb', 'rgb_to_bgr'))
