"""Whether the parts of a model go together, and with data and scores."""

import math
import os.path as osp
from collections.abc import Iterator
from numbers import Real
from typing import Any

from mmpretrain.models import VisionTransformer
from mmseg.models.backbones import VisionTransformer as SegVisionTransformer
from torch import nn

from mmdavpt.checks.preflight import is_local
from mmdavpt.errors import UsageError
from mmdavpt.models.backbones import DAVPTVisionTransformer
from mmdavpt.models.pretrained.load import read_fitting

from .build_check import heads_of
from .class_check import class_defects
from .config_keys import walk

#: What mmseg's score can be asked for.
IOU_METRICS = ('mIoU', 'mDice', 'mFscore')


def check_model(cfg: dict, model: nn.Module, training: bool) -> None:
    """Raise if parts of a model do not go together.

    Args:
        cfg (dict): The merged config, with plain values.
        model (nn.Module): What it describes.
        training (bool): Whether it is to train, and not to test.

    Raises:
        UsageError: If so.
    """
    for sentence in model_defects(cfg, model, training):
        raise UsageError(f'the config cannot be run: {sentence}')


def model_defects(
    cfg: dict, model: nn.Module, training: bool
) -> Iterator[str]:
    """Yield what :func:`check_model` refuses, one sentence each.

    Args:
        cfg (dict): The merged config, with plain values.
        model (nn.Module): What it describes.
        training (bool): Whether it is to train, and not to test.
    """
    yield from _features(model)
    yield from class_defects(cfg, model, training)
    yield from _slide(cfg['model'].get('test_cfg') or {})
    yield from _normalization(cfg)
    yield from _padding(cfg, model)
    yield from _scores(cfg, model, training)


def _features(model: nn.Module) -> Iterator[str]:
    """Yield where a head reads what the backbone does not give."""
    backbone = getattr(model, 'backbone', None)
    # Others give features of other widths than their first.
    if not isinstance(backbone, (VisionTransformer, SegVisionTransformer)):
        return
    width = getattr(backbone, 'embed_dims', None)
    if width is None or getattr(model, 'neck', None) is not None:
        return
    indices = getattr(backbone, 'out_indices', None)
    for path, head in heads_of(model).items():
        channels = getattr(head, 'in_channels', None)
        if isinstance(channels, int) and channels != width:
            yield (
                f'`model.{path}.in_channels` is {channels}, but the backbone '
                f'gives {width} channels; make them equal'
            )
        index = getattr(head, 'in_index', None)
        if indices is None or index is None:
            continue
        number = len(indices)
        for one in [index] if isinstance(index, int) else index:
            if not -number <= one < number:
                yield (
                    f'`model.{path}.in_index` is {one}, but the backbone '
                    f'gives {number} features, of `out_indices` '
                    f'{list(indices)}; it should be from 0 to {number - 1}'
                )


def _slide(test_cfg: dict) -> Iterator[str]:
    """Yield what is wrong with the windows of slide inference."""
    mode = test_cfg.get('mode', 'whole')
    if mode not in ('slide', 'whole'):
        yield (
            "`model.test_cfg.mode` should be 'slide' or 'whole', but is "
            + (repr(mode))
        )
    if mode != 'slide':
        return
    crop, stride = test_cfg.get('crop_size'), test_cfg.get('stride')
    if not all(map(_is_size, (crop, stride))) or any(
        s > c for s, c in zip(stride, crop, strict=True)
    ):
        yield (
            "`model.test_cfg` with mode='slide' should have `crop_size` and "
            '`stride` as two positive integers each, no stride larger than '
            f'the crop, but has {crop} and {stride}'
        )


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(v, int) and v > 0 for v in value)
    )


def _normalization(cfg: dict) -> Iterator[str]:
    """Yield what is wrong with means and deviations of channels."""
    for path, node in (
        ('data_preprocessor', cfg.get('data_preprocessor')),
        ('model.data_preprocessor', cfg['model'].get('data_preprocessor')),
    ):
        node = node or {}
        odd = [
            key
            for key in ('mean', 'std')
            if node.get(key) is not None and not _are_numbers(node[key])
        ]
        if odd:
            yield (
                f'`{path}.{odd[0]}` should be a list of finite numbers, but '
                f'is {node[odd[0]]!r}'
            )
            continue
        lengths = {
            key: len(node[key])
            for key in ('mean', 'std')
            if isinstance(node.get(key), (list, tuple))
        }
        if set(lengths.values()) - {1, 3, input_channels(cfg)}:
            yield (
                f'`{path}` should have `mean` and `std` of 3 channels, but '
                + ' and '.join(f'{n} in `{key}`' for key, n in lengths.items())
            )
        elif lengths and not all(s > 0 for s in node.get('std') or [1]):
            yield (f'`{path}.std` should be positive, but is {node["std"]}')


def _are_numbers(values: object) -> bool:
    """Return whether something is a list of finite numbers."""
    return isinstance(values, (list, tuple)) and all(
        isinstance(value, Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
        for value in values
    )


def _padding(cfg: dict, model: nn.Module) -> Iterator[str]:
    """Yield where padded pixels would count as a class, or cannot be made."""
    preprocessor = model.data_preprocessor
    for path, head in heads_of(model).items():
        ignored = getattr(head, 'ignore_index', None)
        value = getattr(preprocessor, 'seg_pad_val', None)
        if None in (ignored, value) or value == ignored:
            continue
        yield (
            f'`data_preprocessor.seg_pad_val` is {value}, but '
            f'`model.{path}.ignore_index` is {ignored}, so padding would be '
            'learnt as a class; make them equal'
        )
    size = getattr(preprocessor, 'size', None)
    if not _is_size(size):
        return
    for path, node in walk(
        (cfg.get('train_dataloader') or {}).get('dataset'),
        'train_dataloader.dataset',
    ):
        crop = node.get('crop_size')
        if (
            str(node.get('type')).endswith('RandomCrop')
            and _is_size(crop)
            and any(c > s for c, s in zip(crop, size, strict=True))
        ):
            yield (
                f'`{path}.crop_size` is {tuple(crop)}, larger than '
                f'`data_preprocessor.size` {tuple(size)}, to which crops are '
                'padded; make them equal'
            )


def _scores(cfg: dict, model: nn.Module, training: bool) -> Iterator[str]:
    """Yield what the scores of a run cannot be."""
    classes = [
        head.num_classes
        for head in heads_of(model).values()
        if isinstance(getattr(head, 'num_classes', None), int)
    ]
    name = 'val_evaluator' if training else 'test_evaluator'
    for path, node in walk(cfg.get(name), name):
        kind = str(node.get('type')).rpartition('.')[2]
        if kind == 'Accuracy':
            topk = node.get('topk', (1,))
            worst = max([topk] if isinstance(topk, int) else topk, default=1)
            if classes and worst > classes[0]:
                yield (
                    f'`{path}.topk` is {topk}, but there are only '
                    f'{classes[0]} classes'
                )
        asked = node.get('iou_metrics') or ()
        asked = {asked} if isinstance(asked, str) else set(asked)
        unknown = asked - set(IOU_METRICS)
        if kind == 'IoUMetric' and unknown:
            yield (
                f'`{path}.iou_metrics` should be out of '
                f'{", ".join(IOU_METRICS)}, but has '
                f'{", ".join(sorted(map(str, unknown)))}'
            )


def input_channels(cfg: dict) -> int:
    """Return how many channels a model's images have.

    Args:
        cfg (dict): The config.
    """
    channels = (cfg['model'].get('backbone') or {}).get('in_channels')
    return channels if isinstance(channels, int) else 3


def check_weights(cfg: dict, model: nn.Module) -> None:
    """Raise if pre-trained weights do not fit the backbone.

    The file is read. What lies at an address is left to the run.

    Args:
        cfg (dict): The merged config, with plain values.
        model (nn.Module): What it describes.

    Raises:
        UsageError: If they do not, or cannot be read.
    """
    init = (cfg['model'].get('backbone') or {}).get('init_cfg')
    init = init[0] if isinstance(init, (list, tuple)) and init else init
    backbone = getattr(model, 'backbone', None)
    if (
        not isinstance(init, dict)
        or init.get('type') != 'Pretrained'
        or not isinstance(backbone, DAVPTVisionTransformer)
        or not is_local(init['checkpoint'])
        or not osp.isfile(osp.expanduser(init['checkpoint']))
    ):
        return
    read_fitting(
        backbone,
        init['checkpoint'],
        prefix=init.get('prefix'),
        allow_pickle=init.get('allow_pickle', False),
    )
