"""Inference by windows and over scales, as the host runs it and as here."""

import copy
from collections.abc import Callable, Sequence
from types import MethodType

import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder, SegTTAModel
from mmseg.structures import SegDataSample
from torch import Tensor

from mmdavpt.errors import UsageError
from mmdavpt.models import DAVPTEncoderDecoder, RunningSegTTAModel
from mmdavpt.models.slide import window_starts

from .cases import Case, autocast, build_model

#: Height and width.
Size = tuple[int, int]


def build_segmentor(
    case: Case, stride: int, device: str
) -> tuple[DAVPTEncoderDecoder, DAVPTEncoderDecoder]:
    """Return a segmentor that slides as here, and it as the host slides.

    Args:
        case (Case): Of a model of the family 'setr'; ``size`` is the crop.
        stride (int): Pixels between two windows.
        device (str): Where they are.

    Returns:
        tuple[DAVPTEncoderDecoder, DAVPTEncoderDecoder]: With the same
        weights, once in memory.

    Raises:
        UsageError: If the model does not segment.
    """
    if case.family != 'setr':
        raise UsageError(
            'windows are for a model that segments, such as setr-b, but got '
            f'{case.model}'
        )
    model = build_model(case, 'davpt').eval().to(device)
    # The host reads its attributes.
    model.test_cfg = ConfigDict(
        mode='slide', crop_size=(case.size,) * 2, stride=(stride,) * 2
    )
    host = copy.copy(model)
    host.slide_inference = MethodType(EncoderDecoder.slide_inference, host)
    return model, host


def count_windows(size: Size, crop: int, stride: int) -> int:
    """Return how many windows an image has.

    Args:
        size (tuple[int, int]): Height and width of the image.
        crop (int): Pixels of a window's side.
        stride (int): Pixels between two windows.
    """
    rows, columns = (len(window_starts(side, crop, stride)) for side in size)
    return rows * columns


def views_of(
    size: Size, scales: Sequence[float], flip: bool
) -> dict[str, list]:
    """Return an image of noise at several scales, as a loader gives it.

    Args:
        size (tuple[int, int]): Height and width at scale 1.
        scales (Sequence[float]): Factors of both sides.
        flip (bool): Whether each scale comes mirrored as well.

    Returns:
        dict[str, list]: ``inputs`` and ``data_samples``, a batch of one for
        each view.
    """
    generator = torch.Generator().manual_seed(0)
    views = dict(inputs=[], data_samples=[])
    for scale in scales:
        shape = tuple(round(side * scale) for side in size)
        image = torch.randint(0, 256, (3, *shape), generator=generator)
        for mirrored in (False, True)[: 1 + flip]:
            sample = SegDataSample(
                metainfo=dict(
                    img_path='noise',
                    img_shape=shape,
                    ori_shape=size,
                    pad_shape=shape,
                    flip=mirrored,
                    flip_direction='horizontal' if mirrored else None,
                )
            )
            sample.gt_sem_seg = PixelData(data=torch.zeros(1, *size).long())
            views['inputs'].append([image.to(torch.uint8)])
            views['data_samples'].append([sample])
    return views


def slide_runs(
    case: Case, stride: int, size: Size, device: str
) -> dict[str, Callable[[], Tensor]]:
    """Return the inference of one image, by both.

    Args:
        case (Case): See :func:`build_segmentor`.
        stride (int): Pixels between two windows.
        size (tuple[int, int]): Height and width of the image.
        device (str): Where it runs.

    Returns:
        dict[str, Callable]: 'host' and 'here' to what gives the logits.
    """
    model, host = build_segmentor(case, stride, device)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, *size, generator=generator).to(device)
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size)

    def run(segmentor: DAVPTEncoderDecoder) -> Tensor:
        with torch.no_grad(), autocast(case.precision, device):
            return segmentor.slide_inference(image, [dict(meta)])

    return dict(host=lambda: run(host), here=lambda: run(model))


def multi_scale_runs(
    case: Case,
    stride: int,
    size: Size,
    scales: Sequence[float],
    flip: bool,
    device: str,
) -> dict[str, Callable[[], Tensor]]:
    """Return the multi-scale test of one image, by both.

    Args:
        case (Case): See :func:`build_segmentor`.
        stride (int): Pixels between two windows.
        size (tuple[int, int]): Height and width of the image.
        scales (Sequence[float]): Factors of both sides.
        flip (bool): Whether each scale comes mirrored as well.
        device (str): Where it runs.

    Returns:
        dict[str, Callable]: 'host' and 'here' to what gives the labels.
    """
    model, host = build_segmentor(case, stride, device)
    views = views_of(size, scales, flip)

    def run(tester: SegTTAModel) -> Tensor:
        # The preprocessor of the segmentor writes into the samples.
        with torch.no_grad(), autocast(case.precision, device):
            (sample,) = tester.test_step(copy.deepcopy(views))
        return sample.pred_sem_seg.data.squeeze(0)

    of_host = SegTTAModel(module=host)
    of_here = RunningSegTTAModel(module=model)
    return dict(host=lambda: run(of_host), here=lambda: run(of_here))


def check_equal(runs: dict[str, Callable[[], Tensor]]) -> None:
    """Raise if both do not give the same.

    Args:
        runs (dict[str, Callable]): 'host' and 'here' to logits or labels.

    Raises:
        UsageError: If logits differ by more than rounding, or if more than
            one label in a thousand is another.
    """
    host, here = runs['host'](), runs['here']()
    if host.is_floating_point():
        differs = (host - here).abs().max() > 1e-3 * host.abs().max()
    else:
        differs = (host != here).float().mean() > 1e-3
    if differs:
        raise UsageError(
            'the host and this package should give the same, but they '
            'differ; see tests/test_models/test_slide.py'
        )
