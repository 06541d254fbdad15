"""Sliding-window and multi-scale inference, MMSegmentation's and ours."""

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
    """Return a segmentor, and a copy that slides as in MMSegmentation.

    Args:
        case (Case): With a 'setr' model; ``size`` is the crop.
        stride (int): Stride of the windows in pixels.
        device (str): Their device.

    Returns:
        tuple[DAVPTEncoderDecoder, DAVPTEncoderDecoder]: Both share their
        weights.

    Raises:
        UsageError: If the model is not a segmentor.
    """
    if case.family != 'setr':
        raise UsageError(
            'sliding windows need a segmentor, such as setr-b, but got '
            f'{case.model}'
        )
    model = build_model(case, 'davpt').eval().to(device)
    # MMSegmentation reads its attributes.
    model.test_cfg = ConfigDict(
        mode='slide', crop_size=(case.size,) * 2, stride=(stride,) * 2
    )
    theirs = copy.copy(model)
    theirs.slide_inference = MethodType(EncoderDecoder.slide_inference, theirs)
    return model, theirs


def count_windows(size: Size, crop: int, stride: int) -> int:
    """Return the number of windows of an image.

    Args:
        size (tuple[int, int]): Height and width of the image.
        crop (int): Side of a window in pixels.
        stride (int): Stride of the windows in pixels.
    """
    rows, columns = (len(window_starts(side, crop, stride)) for side in size)
    return rows * columns


def views_of(
    size: Size, scales: Sequence[float], flip: bool
) -> dict[str, list]:
    """Return an image of noise at several scales, as a loader yields it.

    Args:
        size (tuple[int, int]): Height and width at scale 1.
        scales (Sequence[float]): Factors of both sides.
        flip (bool): Whether to add a mirrored view of each scale.

    Returns:
        dict[str, list]: ``inputs`` and ``data_samples``, batches of one view.
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
    """Return both sliding-window inferences of one image.

    Args:
        case (Case): See :func:`build_segmentor`.
        stride (int): Stride of the windows in pixels.
        size (tuple[int, int]): Height and width of the image.
        device (str): The device.

    Returns:
        dict[str, Callable]: 'mmseg' and 'mmdavpt', which return logits.
    """
    ours, theirs = build_segmentor(case, stride, device)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, *size, generator=generator).to(device)
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size)

    def run(segmentor: DAVPTEncoderDecoder) -> Tensor:
        with torch.no_grad(), autocast(case.precision, device):
            return segmentor.slide_inference(image, [dict(meta)])

    return dict(mmseg=lambda: run(theirs), mmdavpt=lambda: run(ours))


def multi_scale_runs(
    case: Case,
    stride: int,
    size: Size,
    scales: Sequence[float],
    flip: bool,
    device: str,
) -> dict[str, Callable[[], Tensor]]:
    """Return both multi-scale tests of one image.

    Args:
        case (Case): See :func:`build_segmentor`.
        stride (int): Stride of the windows in pixels.
        size (tuple[int, int]): Height and width of the image.
        scales (Sequence[float]): Factors of both sides.
        flip (bool): Whether to add a mirrored view of each scale.
        device (str): The device.

    Returns:
        dict[str, Callable]: 'mmseg' and 'mmdavpt', which return labels.
    """
    ours, theirs = build_segmentor(case, stride, device)
    views = views_of(size, scales, flip)

    def run(tester: SegTTAModel) -> Tensor:
        # The preprocessor of the segmentor writes into the samples.
        with torch.no_grad(), autocast(case.precision, device):
            (sample,) = tester.test_step(copy.deepcopy(views))
        return sample.pred_sem_seg.data.squeeze(0)

    theirs = SegTTAModel(module=theirs)
    ours = RunningSegTTAModel(module=ours)
    return dict(mmseg=lambda: run(theirs), mmdavpt=lambda: run(ours))


def check_equal(runs: dict[str, Callable[[], Tensor]]) -> None:
    """Check that both implementations agree.

    Args:
        runs (dict[str, Callable]): Return logits or labels.

    Raises:
        UsageError: If logits differ by more than rounding, or if more than
            one label in a thousand differs.
    """
    theirs, ours = runs['mmseg'](), runs['mmdavpt']()
    if theirs.is_floating_point():
        differs = (theirs - ours).abs().max() > 1e-3 * theirs.abs().max()
    else:
        differs = (theirs != ours).float().mean() > 1e-3
    if differs:
        raise UsageError(
            'MMSegmentation and mmdavpt should give the same result, but '
            'differ; see tests/test_models/test_slide.py'
        )
