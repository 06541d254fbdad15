"""Sliding-window inference in batches equals MMSegmentation."""

import copy
import itertools
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads import SETRUPHead
from mmseg.structures import SegDataSample
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmdavpt.errors import UsageError
from mmdavpt.models.slide import slide_logits, window_starts
from mmdavpt.registry import MODELS

from .. import toy

SLIDE = dict(mode='slide', crop_size=(32, 32), stride=(21, 17))
SIZES = [(32, 32), (40, 53), (20, 60), (33, 32), (19, 27), (75, 90)]


@pytest.fixture
def build(tmp_path):
    """Return a function that builds a segmentor, its weights moved."""

    def build(preprocessor=None, **test_cfg):
        cfg = Config(toy.segmentation(tmp_path)).model
        cfg.test_cfg = dict(SLIDE, **test_cfg)
        cfg.data_preprocessor.update(preprocessor or {})
        init_default_scope('mmseg')
        torch.manual_seed(0)
        model = MODELS.build(cfg)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return model.eval()

    return build


def images(size, batch_size=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randn(batch_size, 3, *size, generator=generator).to(dtype)


def metas(inputs):
    return [
        dict(ori_shape=(30 + i, 50), img_shape=tuple(inputs.shape[2:]))
        for i in range(len(inputs))
    ]


def mmseg_logits(model, inputs):
    """Return the logits of MMSegmentation's method."""
    return EncoderDecoder.slide_inference(model, inputs, metas(inputs))


# ---- equality with MMSegmentation ----


@pytest.mark.parametrize('window_batch', [1, 3, 8, 1000])
@pytest.mark.parametrize('size', SIZES)
@torch.no_grad()
def test_logits_equal_mmsegmentation(build, size, window_batch):
    model = build(window_batch=window_batch).double()
    inputs = images(size, dtype=torch.float64)
    torch.testing.assert_close(
        model.slide_inference(inputs, metas(inputs)),
        mmseg_logits(model, inputs),
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize('size', SIZES)
@torch.no_grad()
def test_single_windows_equal_mmsegmentation_bit_for_bit(build, size):
    model = build(window_batch=1)
    inputs = images(size, batch_size=1)
    ours = model.slide_inference(inputs, metas(inputs))
    assert torch.equal(ours, mmseg_logits(model, inputs))


@torch.no_grad()
def test_predictions_equal_mmsegmentation(build):
    """Padding is cut off, flips are undone, sizes are the originals."""
    model = build(dict(test_cfg=dict(size_divisor=24)))
    reference = copy.deepcopy(model)
    reference.slide_inference = EncoderDecoder.slide_inference.__get__(
        reference
    )
    samples = [SegDataSample(), SegDataSample()]
    samples[0].set_metainfo(dict(ori_shape=(30, 41), img_shape=(37, 50)))
    samples[1].set_metainfo(
        dict(
            ori_shape=(61, 80),
            img_shape=(37, 50),
            flip=True,
            flip_direction='horizontal',
        )
    )
    data = dict(
        inputs=[(50 * i + 100).byte() for i in images((37, 50))],
        data_samples=samples,
    )
    ours = model.test_step(copy.deepcopy(data))
    theirs = reference.test_step(copy.deepcopy(data))
    for one, other in zip(ours, theirs, strict=True):
        assert one.seg_logits.data.shape[1:] == one.ori_shape
        torch.testing.assert_close(
            one.seg_logits.data, other.seg_logits.data, rtol=0, atol=1e-5
        )
        agree = one.pred_sem_seg.data == other.pred_sem_seg.data
        assert agree.float().mean() > 0.999
        assert one.metainfo == other.metainfo


@torch.no_grad()
def test_autocast(build):
    model, inputs = build(), images((40, 53))
    with torch.autocast('cpu', torch.bfloat16):
        ours = model.slide_inference(inputs, metas(inputs))
        theirs = mmseg_logits(model, inputs)
    assert ours.dtype == theirs.dtype == torch.float32
    # Another batch size may round other products to bfloat16.
    torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05)


def test_gradients_equal_mmsegmentation(build):
    model, inputs = build().double(), images((40, 53), dtype=torch.float64)
    weight = model.decode_head.conv_seg.weight
    grads = [
        torch.autograd.grad(run().square().mean(), weight)[0]
        for run in (
            lambda: model.slide_inference(inputs, metas(inputs)),
            lambda: mmseg_logits(model, inputs),
        )
    ]
    assert grads[1].abs().max() > 1e-3
    torch.testing.assert_close(*grads, rtol=0, atol=1e-10)


# ---- cost ----


@torch.no_grad()
def test_encode_windows_in_batches(build):
    model, inputs = build(window_batch=5), images((40, 53))
    batches = []
    model.backbone.register_forward_pre_hook(
        lambda _, args: batches.append(args[0].shape[0])
    )
    model.slide_inference(inputs, metas(inputs))
    assert batches == [5, 5, 2]  # of 2 x 3 windows in each image
    model.test_cfg.pop('window_batch')
    batches.clear()
    model.slide_inference(inputs, metas(inputs))
    assert batches == [8, 4]


@torch.no_grad()
def test_flops_do_not_exceed_mmsegmentation(build):
    model, inputs = build(), images((40, 53), batch_size=1)
    counts = []
    for run in (
        lambda: model.slide_inference(inputs, metas(inputs)),
        lambda: mmseg_logits(model, inputs),
    ):
        run()
        with FlopCounterMode(display=False) as counter:
            run()
        counts.append(counter.get_total_flops())
    assert 0 < counts[0] <= counts[1]


class FullMaps(TorchDispatchMode):
    """Count the new tensors that are at least as large as a given one."""

    def __init__(self, numel):
        super().__init__()
        self.numel, self.storages, self.kept = numel, set(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.numel() >= self.numel:
            self.kept.append(out)  # so that no storage is used twice
            self.storages.add(out.untyped_storage().data_ptr())
        return out


@torch.no_grad()
def test_keep_one_full_size_map(build):
    model, inputs = build(), images((75, 90), batch_size=1)
    found = []
    for run in (
        lambda: model.slide_inference(inputs, metas(inputs)),
        lambda: mmseg_logits(model, inputs),
    ):
        with FullMaps(27 * 75 * 90) as maps:
            run()
        found.append(len(maps.storages))
    windows = 4 * 5
    assert found[0] == 1
    assert found[1] >= windows  # a padded map for each


# ---- heads ----


@pytest.mark.parametrize('scale', [2.0, 8.0])
@torch.no_grad()
def test_resize_logits_to_the_window(build, scale):
    """With 8 they have its size already."""
    model = build().double()
    model.decode_head.up_convs[0][1].scale_factor = scale
    inputs = images((40, 53), dtype=torch.float64)
    torch.testing.assert_close(
        model.slide_inference(inputs, metas(inputs)),
        mmseg_logits(model, inputs),
        rtol=0,
        atol=1e-12,
    )


class OwnPredict(SETRUPHead):
    """A head that reads the meta information of windows and their images."""

    def predict(self, inputs, batch_img_metas, test_cfg):
        size = batch_img_metas[0]['img_shape']
        assert isinstance(size, torch.Size)
        logits = F.interpolate(self(inputs), size, mode='nearest')
        heights = [float(meta['ori_shape'][0]) for meta in batch_img_metas]
        return logits * logits.new_tensor(heights)[:, None, None, None]


class OwnLogits(SETRUPHead):
    """A head that makes something else of logits of the right size."""

    def predict_by_feat(self, seg_logits, batch_img_metas):
        return super().predict_by_feat(seg_logits.tanh(), batch_img_metas)


class PaddedSize(SETRUPHead):
    """A head that prefers the padded size, as `Mask2FormerHead` does."""

    def predict(self, inputs, batch_img_metas, test_cfg):
        return F.interpolate(self(inputs), batch_img_metas[0]['pad_shape'])


@torch.no_grad()
def test_heads_see_the_size_of_windows_as_padded_size(build):
    model = build()
    inputs = images((40, 53))
    expected = model.slide_inference(inputs, metas(inputs))
    model.decode_head.__class__ = PaddedSize
    model.decode_head.up_convs[0][1].scale_factor = 8.0  # to the window's
    given = [dict(meta, pad_shape=(40, 53)) for meta in metas(inputs)]
    assert model.slide_inference(inputs, given).shape == expected.shape


@pytest.mark.parametrize('kind', [OwnPredict, OwnLogits])
@torch.no_grad()
def test_use_the_prediction_of_the_head(build, kind):
    model = build().double()
    model.decode_head.__class__ = kind
    model.decode_head.up_convs[0][1].scale_factor = 8.0  # to the window's
    inputs = images((40, 53), dtype=torch.float64)
    given = metas(inputs)
    ours = model.slide_inference(inputs, given)
    assert given == metas(inputs)
    torch.testing.assert_close(
        ours, mmseg_logits(model, inputs), rtol=0, atol=1e-12
    )


# ---- the pure functions ----


def mmseg_starts(length, crop, stride):
    """Compute the starts along one side as MMSegmentation does."""
    grids = max(length - crop + stride - 1, 0) // stride + 1
    ends = [min(i * stride + crop, length) for i in range(grids)]
    return [max(end - crop, 0) for end in ends]


def test_window_starts_equal_mmsegmentation():
    for length, crop, stride in itertools.product(
        range(1, 40), range(1, 15), range(1, 15)
    ):
        if stride <= crop:
            starts = window_starts(length, crop, stride)
            assert starts == mmseg_starts(length, crop, stride)
            covered = {i for k in starts for i in range(k, k + crop)}
            assert covered >= {*range(length)}


def test_divide_by_number_of_windows():
    """Windows that each give their number average to the mean of these."""
    numbers = itertools.count(1)

    def decode(features, image, size):
        assert size == (2, 3) and image == 0
        return torch.full((1, 1, *size), float(next(numbers)))

    logits = slide_logits(
        torch.zeros(1, 3, 2, 5), lambda x: x, decode, 1, (2, 3), (2, 1)
    )
    row = torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0])
    assert torch.equal(logits, row.expand(1, 1, 2, 5))


def test_split_nested_features():
    inputs = torch.arange(12.0).reshape(1, 1, 2, 6)

    def encode(windows):
        return [(windows, windows.mean((1, 2, 3)))]

    def decode(features, image, size):
        windows, means = features[0]
        assert windows.shape == (1, 1, 2, 2) and means.shape == (1,)
        assert means == windows.mean()
        return windows

    logits = slide_logits(inputs, encode, decode, 1, (2, 2), (2, 2))
    assert torch.equal(logits, inputs)


# ---- user errors ----


def test_reject_gaps():
    assert window_starts(5, 5, 9) == [0]
    with pytest.raises(UsageError, match='leave gaps, but got 9 and 5'):
        window_starts(6, 5, 9)


@pytest.mark.parametrize('crop, stride', [(5, 0), (5, -3), (0, 1)])
def test_reject_non_positive_windows(crop, stride):
    with pytest.raises(UsageError, match=f'got {stride} and {crop}; change'):
        window_starts(9, crop, stride)


class Boxed(torch.nn.Module):
    """A neck whose features cannot be split by window."""

    def forward(self, features):
        return SimpleNamespace(features=features)


@torch.no_grad()
def test_reject_features_that_cannot_be_split(build):
    model, inputs = build(), images((40, 53))
    expected = model.slide_inference(inputs, metas(inputs))
    model.neck, head = Boxed(), model.decode_head
    transform = head._transform_inputs
    head._transform_inputs = lambda boxed: transform(boxed.features)
    with pytest.raises(UsageError, match='got SimpleNamespace, from which'):
        model.slide_inference(inputs, metas(inputs))
    model.test_cfg.window_batch = 1
    torch.testing.assert_close(
        model.slide_inference(inputs, metas(inputs)),
        expected,
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize('number', [0, -1, 1.5, '8', True])
def test_reject_invalid_window_batch(build, number):
    with pytest.raises(UsageError, match='window_batch. should be a whole'):
        build(window_batch=number)
