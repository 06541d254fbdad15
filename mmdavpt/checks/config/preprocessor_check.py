"""Whether images can be made ready for a model as its config says."""

import copy
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample
from mmseg.models import BaseSegmentor, SegDataPreProcessor
from mmseg.structures import SegDataSample
from torch import nn

from mmdavpt.errors import UsageError

from .build_check import building, scope_of
from .known_keys import DEFAULT_TYPES
from .model_check import input_channels


def check_preprocessor(cfg: dict, model: nn.Module | None) -> None:
    """Raise if two small black images cannot be made ready for a training.

    Args:
        cfg (dict): The merged config, with plain values.
        model (nn.Module, optional): What it describes, if it could be built.

    Raises:
        UsageError: If so.
    """
    if (
        isinstance(model, BaseSegmentor)
        and type(model.data_preprocessor) is BaseDataPreprocessor
    ):
        raise UsageError(
            'the config cannot be run: a segmentor should have a '
            "`data_preprocessor`, such as dict(type='SegDataPreProcessor', "
            'size=(512, 512)), that makes a batch of images'
        )
    for path, node in (
        ('model.data_preprocessor', cfg['model'].get('data_preprocessor')),
        ('data_preprocessor', cfg.get('data_preprocessor')),
    ):
        if not isinstance(node, dict):
            continue
        with scope_of(cfg), building(path, 'used'):
            # Those would draw.
            node = {k: v for k, v in node.items() if k != 'batch_augments'}
            node.setdefault('type', DEFAULT_TYPES[path])
            preprocessor = MODELS.build(copy.deepcopy(node))
            data = _batch(preprocessor, input_channels(cfg))
            if data is not None:
                preprocessor(data, training=True)
        return  # the runner's own is for a model that has none


def _batch(preprocessor: Any, channels: int) -> dict | None:
    """Return a batch of two images; None if what is wanted is not known."""
    images = [torch.zeros(channels, 8, 8, dtype=torch.uint8)] * 2
    if type(preprocessor) is ClsDataPreprocessor:
        return dict(inputs=images, data_samples=_labelled())
    if type(preprocessor) is SegDataPreProcessor:
        labels = torch.zeros(1, 8, 8, dtype=torch.int64)
        samples = [SegDataSample() for _ in images]
        for sample in samples:
            sample.gt_sem_seg = PixelData(data=labels)
        return dict(inputs=images, data_samples=samples)
    return None


def _labelled() -> list[DataSample]:
    return [DataSample().set_gt_label(0) for _ in range(2)]
