"""Pictures of a dataset as a model sees them."""

from collections.abc import Sequence

import numpy as np
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn
from torch.utils.data import Dataset


def load_picture(
    model: nn.Module, dataset: Dataset, index: int
) -> tuple[dict, Tensor, np.ndarray]:
    """Load an image as a model gets it.

    Args:
        model (nn.Module): A classifier or a segmentor.
        dataset (Dataset): The dataset.
        index (int): The index of the image in it.

    Returns:
        tuple[dict, Tensor, np.ndarray]: The raw batch of it, the normalized
        image, (1, 3, H, W), and the picture to draw, uint8, RGB, (H, W, 3).
    """
    pre = model.data_preprocessor
    batch = pseudo_collate([dataset[index]])
    inputs = pre(batch, False)['inputs']
    # Without, the pipeline normalizes, or nothing.
    pixels = inputs[0] * getattr(pre, 'std', 1) + getattr(pre, 'mean', 0)
    pixels = pixels.clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    rgb = getattr(pre, 'to_rgb', getattr(pre, '_channel_conversion', True))
    return batch, inputs, pixels if rgb else pixels[..., ::-1]


def load_examples(
    model: nn.Module, dataset: Dataset, labels: Sequence[int]
) -> dict[int, np.ndarray]:
    """Return the picture of the first image of each class.

    Args:
        model (nn.Module): See :func:`load_picture`.
        dataset (Dataset): See there.
        labels (Sequence[int]): The class of each image.
    """
    first = {int(k): labels.index(k) for k in {*labels}}
    return {k: load_picture(model, dataset, i)[2] for k, i in first.items()}
