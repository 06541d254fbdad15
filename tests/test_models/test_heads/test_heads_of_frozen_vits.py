"""Every head of the recommended config on tiny frozen ViTs."""

import copy
import functools
import importlib.util
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS, init_default_scope
from mmseg.models import EncoderDecoder, SegTTAModel

from mmdavpt.checks.preflight import preflight
from mmdavpt.cli.common import load_config
from mmdavpt.errors import UsageError
from mmdavpt.models import RunningSegTTAModel
from mmdavpt.models.trainable import ADDED
from mmdavpt.registry import MODELS
from tests import toy

from ..test_seg_tta import ORI_SHAPES, data

CONFIGS = Path(__file__).parents[3] / 'configs'
HEADS = ('linear', 'naive', 'pup', 'mla', 'uper', 'segmenter')
ARCH = dict(embed_dims=32, num_layers=6, num_heads=2, feedforward_channels=48)
TIMM = dict(
    type='mmdavpt.DAVPTTimmViT',
    embed_dim=32,
    num_heads=2,
    depth=6,
    mlp_ratio=2,
)
#: Backbones, and the side of a training crop: 4 or 5 patches.
BACKBONES = {
    'mmpretrain': (
        dict(type='mmdavpt.DAVPTVisionTransformer', arch=ARCH, patch_size=16),
        64,
    ),
    'dinov2': (dict(TIMM, model_name='vit_small_patch14_dinov2'), 70),
    'dinov3': (dict(TIMM, model_name='vit_small_patch16_dinov3'), 64),
}
GUIDANCE = dict(
    random=dict(labels='random'),
    present=dict(
        labels='present',
        loss=dict(
            type='mmdavpt.DAVPTLoss',
            token='patch_output',
            token_weight=0.1,
            cls_weight=0.1,
        ),
    ),
)


def narrow(node):
    """Return a config with a sixteenth of the channels of heads."""
    if isinstance(node, dict):
        return {key: narrow(value) for key, value in node.items()}
    if isinstance(node, list):
        return [narrow(value) for value in node]
    narrower = {128: 8, 256: 16, 512: 32}
    return narrower.get(node, node) if isinstance(node, int) else node


@functools.cache
def shipped(head):
    """Return the model of the recommended config with a narrow head."""
    options = dict(head=head, arch=ARCH, size=56, weights='vit.pth')
    path = CONFIGS / 'recommended/segmentation.py'
    return ConfigDict(narrow(load_config(str(path), options).model.to_dict()))


def segmentor(head, backbone, labels='random'):
    """Return the config of a model with prompts, LoRA and guidance."""
    options, side = BACKBONES[backbone]
    model = copy.deepcopy(shipped(head))
    kept = {k: model.backbone[k] for k in ('out_indices', 'final_norm')}
    model.backbone = dict(
        **options,
        **kept,
        img_size=side,
        out_type='featmap',
        num_prompts=3,
        tuners=[dict(type='LoRA', rank=2)],
    )
    model.num_classes = 27
    model.data_preprocessor.size = (side, side)
    model.guidance = dict(background_class=0, **GUIDANCE[labels])
    model.test_cfg = dict(
        mode='slide', crop_size=(side, side), stride=(side // 2, side // 2)
    )
    return model


def build(head, backbone):
    """Return a model in eval mode whose weights are far from the initial."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(segmentor(head, backbone))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.double().eval()


def run_config(work_dir, head, backbone, labels, weights):
    cfg = Config(toy.segmentation(work_dir))
    cfg.runner_type = 'mmdavpt.DAVPTRunner'
    cfg.model = segmentor(head, backbone, labels)
    cfg.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(weights)
    )
    side = BACKBONES[backbone][1]
    cfg.train_dataloader.dataset.size = (side, side)
    cfg.val_dataloader.dataset.size = (side, 2 * side)
    cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = 2
    cfg.train_dataloader.batch_size = 2
    cfg.default_hooks.checkpoint.tuned_only = True
    return cfg


def save_backbone(path, backbone):
    """Write the pre-trained weights that a run starts from."""
    torch.manual_seed(1)
    vit = MODELS.build(segmentor('linear', backbone)['backbone'])
    state = getattr(vit, 'vit', vit).state_dict()
    frozen = {k: v for k, v in state.items() if k.split('.')[0] not in ADDED}
    torch.save(frozen, path)


def train(cfg):
    runner = RUNNERS.build(cfg)
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()
    return runner.model, before


@pytest.mark.parametrize(
    'backbone, labels',
    [
        pytest.param('mmpretrain', 'random', marks=pytest.mark.slow),
        ('dinov2', 'present'),
    ],
)
@pytest.mark.parametrize('head', HEADS)
def test_a_guided_run_trains_and_resumes(head, backbone, labels, tmp_path):
    weights = tmp_path / 'vit.pth'
    save_backbone(weights, backbone)
    cfg = run_config(tmp_path / 'a', head, backbone, labels, weights)
    model, before = train(cfg)
    whole = model.state_dict()
    frozen = torch.load(weights)
    for name, value in model.named_parameters():
        added = name.split('.')[1] in ADDED
        assert value.requires_grad == (added or name[:8] != 'backbone')
        if value.requires_grad:
            assert not torch.equal(value, before[name]), name
        else:
            key = name.removeprefix('backbone.').removeprefix('vit.')
            assert torch.equal(value, frozen[key]), name
    first = tmp_path / 'a' / 'iter_1.pth'
    saved = torch.load(first, weights_only=False)['state_dict']
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained <= saved.keys()
    assert not {f'backbone.{k}' for k in frozen} & saved.keys()
    if backbone == 'mmpretrain':
        return
    cfg = run_config(tmp_path / 'b', head, backbone, labels, weights)
    cfg.update(resume=True, load_from=str(first))
    resumed = train(cfg)[0].state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert any(not torch.equal(whole[key], saved[key]) for key in trained)


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('head', HEADS)
@torch.no_grad()
def test_logits_of_images_of_other_sizes(head, backbone):
    model = build(head, backbone)
    patch = model.backbone.patch_size[0]
    up = dict(naive=4, pup=16, mla=4, uper=4).get(head, 1)
    for rows, columns in ((1, 2), (3, 2)):
        # The second side is padded to whole patches.
        size = rows * patch, columns * patch - 3
        images = torch.randn(2, 3, *size, dtype=torch.float64)
        features = model.extract_feat(images)
        grid = rows * up, columns * up
        assert model.decode_head(features).shape == (2, 27, *grid)
        metas = [dict(img_shape=size, ori_shape=size)] * 2
        # One window: the whole image.
        slid = model.slide_inference(images, metas)
        assert slid.shape == (2, 27, *size)
        torch.testing.assert_close(slid, model.whole_inference(images, metas))
    images = torch.randn(2, 3, 75, 90, dtype=torch.float64)
    torch.testing.assert_close(
        model.slide_inference(images, metas),
        EncoderDecoder.slide_inference(model, images, copy.deepcopy(metas)),
    )


@pytest.mark.filterwarnings('ignore:The shape of value')
@pytest.mark.parametrize('head', HEADS)
@torch.no_grad()
def test_augmented_predictions_equal_mmsegmentation(head):
    model = build(head, 'dinov2')
    given = data()
    ours = RunningSegTTAModel(model).test_step(copy.deepcopy(given))
    theirs = SegTTAModel(model).test_step(given)
    for one, other, shape in zip(ours, theirs, ORI_SHAPES, strict=True):
        assert one.pred_sem_seg.data.shape == (1, *shape)
        assert torch.equal(one.pred_sem_seg.data, other.pred_sem_seg.data)


def test_every_head_is_covered():
    path = CONFIGS / 'recommended/segmentation.py'
    assert {*HEADS} == {*Config.fromfile(path).heads}


@pytest.mark.skipif(
    importlib.util.find_spec('mmdet') is not None, reason='it is installed'
)
def test_mask2former_names_the_package_that_it_needs():
    cfg = load_config(str(CONFIGS / 'dino/ade20k.py'), dict(head='uper'))
    del cfg.model.backbone.init_cfg
    cfg.model.decode_head = dict(type='Mask2FormerHead', num_classes=150)
    with pytest.raises(UsageError, match=r'decode_head`: .*onedl-mmdetection'):
        preflight(cfg, training=True)
