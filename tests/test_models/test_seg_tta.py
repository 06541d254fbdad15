"""Test-time augmentation with a running average."""

import copy
import gc
import weakref
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.structures import SegDataSample

from mmdavpt.models import RunningSegTTAModel
from mmdavpt.registry import MODELS

from .. import toy

ORI_SHAPES = [(30, 41), (44, 37)]
AUGMENTATIONS = [(size, flip) for size in (24, 40, 56) for flip in (0, 1)]


@pytest.fixture
def segmentor(tmp_path):
    cfg = Config(toy.segmentation(tmp_path)).model
    cfg.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(20, 20))
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def data():
    """Return two images in six augmentations, as a loader collates them."""
    generator = torch.Generator().manual_seed(0)
    inputs, samples = [], []
    for size, flip in AUGMENTATIONS:
        shape = (3, size, size + 9)
        inputs.append(
            [
                torch.randint(256, shape, generator=generator).byte()
                for _ in ORI_SHAPES
            ]
        )
        samples.append([])
        for i, ori_shape in enumerate(ORI_SHAPES):
            sample = SegDataSample()
            sample.set_metainfo(
                dict(
                    img_path=f'{i}.png',
                    ori_shape=ori_shape,
                    img_shape=shape[1:],
                    flip=bool(flip),
                    flip_direction='horizontal' if flip else None,
                )
            )
            samples[-1].append(sample)
    return dict(inputs=inputs, data_samples=samples)


class Logits(torch.nn.Module):
    """A segmentor whose logits are noise around the same of each image."""

    out_channels = 50

    def __init__(self, dtype):
        super().__init__()
        self.dtype, self.scale = dtype, 1.0

    def test_step(self, batch):
        for i, sample in enumerate(batch['data_samples']):
            noise = torch.Generator().manual_seed(sample.img_shape[0])
            image = torch.Generator().manual_seed(i)
            shape = (self.out_channels, *sample.ori_shape)
            logits = torch.randn(shape, generator=image)
            logits += 0.3 * torch.randn(shape, generator=noise)
            logits = (self.scale * logits).to(self.dtype)
            sample.seg_logits = PixelData(data=logits)
        return batch['data_samples']


def batch_of(data, augmentation):
    return {key: value[augmentation] for key, value in data.items()}


def labels(samples, key='pred_sem_seg'):
    return [sample.get(key).data for sample in samples]


def with_one_channel(segmentor):
    """Give the head one sigmoid channel whose labels are mixed."""
    head = segmentor.decode_head
    head.conv_seg = torch.nn.Conv2d(16, 1, 1)
    segmentor.out_channels, head.threshold = 1, 0.5
    samples = segmentor.test_step(batch_of(data(), 2))
    head.threshold = float(labels(samples, 'seg_logits')[0].median())
    return segmentor


@pytest.mark.filterwarnings('ignore:The shape of value')
@torch.no_grad()
def test_predictions_equal_mmsegmentation(segmentor):
    given = data()
    ours = RunningSegTTAModel(segmentor).test_step(copy.deepcopy(given))
    theirs = SegTTAModel(segmentor).test_step(copy.deepcopy(given))
    assert len(ours) == len(theirs) == len(ORI_SHAPES)
    for one, other, shape in zip(ours, theirs, ORI_SHAPES, strict=True):
        assert one.pred_sem_seg.data.shape == (1, *shape)
        assert torch.equal(one.pred_sem_seg.data, other.pred_sem_seg.data)
        assert not torch.equal(one.seg_logits.data, other.seg_logits.data)
        assert one.metainfo == other.metainfo
        assert one.pred_sem_seg.data.unique().numel() > 1
    # The average is not the last augmentation's own prediction.
    views = [
        segmentor.test_step(batch_of(copy.deepcopy(given), i))
        for i in range(len(AUGMENTATIONS))
    ]
    assert not torch.equal(labels(views[-1])[0], labels(ours)[0])
    for i, one in enumerate(ours):
        scores = [view[i].seg_logits.data.softmax(dim=0) for view in views]
        torch.testing.assert_close(
            one.seg_logits.data.softmax(dim=0), torch.stack(scores).mean(0)
        )


@pytest.mark.filterwarnings('ignore:The shape of value')
@pytest.mark.parametrize('channels', [27, 1])
@torch.no_grad()
def test_one_plain_augmentation_equals_no_tta(segmentor, channels):
    if channels == 1:
        with_one_channel(segmentor)
    plain = segmentor.test_step(batch_of(data(), 2))
    one = {key: value[2:3] for key, value in data().items()}
    merged = RunningSegTTAModel(segmentor).test_step(one)
    for ours, theirs in zip(labels(merged), labels(plain), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.unique().numel() > 1


@pytest.mark.filterwarnings('ignore:The shape of value')
@torch.no_grad()
def test_probabilities_of_one_channel_are_averaged(segmentor):
    with_one_channel(segmentor)
    probabilities = [
        labels(segmentor.test_step(batch_of(data(), i)), 'seg_logits')
        for i in range(len(AUGMENTATIONS))
    ]
    merged = labels(RunningSegTTAModel(segmentor).test_step(data()))
    for i, ours in enumerate(merged):
        mean = torch.stack([p[i].double() for p in probabilities]).mean(0)
        certain = (mean - segmentor.decode_head.threshold).abs() > 1e-6
        wanted = (mean > segmentor.decode_head.threshold).to(ours)
        assert torch.equal(ours[certain], wanted[certain])
        assert ours.unique().numel() > 1


@pytest.mark.filterwarnings('ignore:The shape of value')
def test_keep_path_and_annotation_of_first_augmentation():
    """Flips and scales may have changed those of the others."""
    given = data()
    for number, samples in enumerate(given['data_samples']):
        for sample in samples:
            sample.set_metainfo(dict(img_path=f'{number}.png'))
            shape = (1, *sample.img_shape)
            sample.gt_sem_seg = PixelData(data=torch.full(shape, number))
    merged = [
        model(Logits(torch.float32)).test_step(copy.deepcopy(given))
        for model in (RunningSegTTAModel, SegTTAModel)
    ]
    for ours, theirs in zip(*merged, strict=True):
        assert torch.equal(ours.gt_sem_seg.data, theirs.gt_sem_seg.data)
        assert ours.gt_sem_seg.data.unique() == 0
        assert ours.img_path == theirs.img_path == '0.png'


@pytest.mark.filterwarnings('ignore:The shape of value')
def test_score_at_the_threshold_is_background():
    module = Logits(torch.float32)
    module.out_channels, module.scale = 1, 0.0
    module.decode_head = SimpleNamespace(threshold=0.0)
    merged = RunningSegTTAModel(module).test_step(data())
    assert not merged[0].pred_sem_seg.data.any()


@pytest.mark.filterwarnings('ignore:The shape of value')
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_sum_low_precision_logits_in_float32(dtype):
    """Labels are those of the same logits, summed in float64."""
    wanted = sum(
        torch.stack(labels(Logits(dtype).test_step(batch), 'seg_logits')[:1])
        .double()
        .softmax(dim=1)
        for batch in (batch_of(data(), i) for i in range(len(AUGMENTATIONS)))
    ).argmax(dim=1)
    ours, theirs = (
        model(Logits(dtype)).test_step(data())[0].pred_sem_seg.data.squeeze(0)
        for model in (RunningSegTTAModel, SegTTAModel)
    )
    assert torch.equal(ours, wanted.squeeze(0))
    assert not torch.equal(theirs, wanted.squeeze(0))


def test_no_augmentation():
    none = dict(inputs=[], data_samples=[])
    assert RunningSegTTAModel(Logits(torch.float32)).test_step(none) == []


@torch.no_grad()
def test_data_as_lists_and_invalid_data(segmentor):
    class Both(torch.nn.Module):
        out_channels = segmentor.out_channels
        decode_head = segmentor.decode_head

        def test_step(self, batch):
            if not isinstance(batch, dict):
                assert isinstance(batch, list)
                batch = dict(inputs=batch[0], data_samples=batch[1])
            return segmentor.test_step(batch)

    model = RunningSegTTAModel(Both())
    as_dict = labels(model.test_step(data()))
    as_lists = labels(model.test_step(tuple(data().values())))
    assert all(map(torch.equal, as_dict, as_lists))


@pytest.mark.filterwarnings('ignore:The shape of value')
@torch.no_grad()
def test_keep_logits_of_few_augmentations(segmentor):
    """MMSegmentation keeps six per image, this class one or two."""
    alive, most = weakref.WeakSet(), []
    test_step = segmentor.test_step

    def watched(batch):
        samples = test_step(batch)
        alive.update(sample.seg_logits for sample in samples)
        gc.collect()
        most.append(len(alive))
        return samples

    segmentor.test_step = watched
    images = len(ORI_SHAPES)
    held = []
    for model in (RunningSegTTAModel(segmentor), SegTTAModel(segmentor)):
        # The collated batches hold the samples, and these the logits.
        model.test_step(data())
        held.append(max(most))
        alive.clear()
        most.clear()
    assert held[1] == images * len(AUGMENTATIONS)
    assert held[0] <= 2 * images
