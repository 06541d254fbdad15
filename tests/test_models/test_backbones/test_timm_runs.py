"""Guided runs on timm's models: both tasks, tuned-only files, exact resume."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmdavpt.registry import MODELS
from tests import toy

SIGLIP = dict(
    type='mmdavpt.DAVPTTimmViT',
    model_name='vit_base_patch16_siglip_gap_224',
    patch_size=8,
    img_size=32,
    embed_dim=32,
    num_heads=2,
    depth=2,
    num_prompts=3,
    out_type='pooled',
)
DINOV3 = dict(
    SIGLIP,
    model_name='vit_small_patch16_dinov3',
    out_type='cls_token',
    tuners=[dict(type='LoRA', rank=2)],
)
GATEVPT = dict(
    DINOV3,
    num_prompts=(3, 0),
    propagate='gate',
    tuners=[
        dict(type='AttentionTemperature'),
        dict(type='LoRA', rank=2, targets=('q', 'k', 'v'), share_a=True),
    ],
)


def with_weights(backbone, path):
    """Return the config of a backbone with weights in a file."""
    torch.manual_seed(1)
    vit = MODELS.build(backbone).vit
    torch.save(vit.state_dict(), path)
    weights = dict(type='Pretrained', checkpoint=str(path))
    return dict(backbone, init_cfg=weights)


def train(cfg):
    cfg = Config(dict(cfg, runner_type='mmdavpt.DAVPTRunner'))
    runner = RUNNERS.build(cfg)
    runner.train()
    return runner.model.state_dict()


@pytest.mark.parametrize(
    'task, backbone',
    [
        ('classification', SIGLIP),
        ('segmentation', DINOV3),
        ('classification', GATEVPT),
        ('segmentation', dict(DINOV3, tuners=[dict(type='MoSA', rank=4)])),
        ('classification', dict(SIGLIP, tuners=[dict(type='MoSA', rank=4)])),
    ],
)
def test_runs_resume_exactly_from_tuned_weights(task, backbone, tmp_path):
    backbone = with_weights(backbone, tmp_path / 'vit.pth')
    changes = {'default_hooks.checkpoint.tuned_only': True}
    if task == 'segmentation':
        backbone.update(out_type='featmap', out_indices=[0, 1])
    if backbone['num_prompts'] == (3, 0):
        changes['model.guidance.guided_layers'] = (0,)
    changes['model.backbone'] = backbone
    build = getattr(toy, task)
    whole = train(build(tmp_path / 'whole', changes))
    cfg = build(tmp_path / 'resumed', changes)
    first = 'epoch_1.pth' if task == 'classification' else 'iter_2.pth'
    cfg.update(resume=True, load_from=str(tmp_path / 'whole' / first))
    saved = torch.load(cfg['load_from'], weights_only=False)['state_dict']
    assert not any('.vit.' in key for key in saved)
    resumed = train(cfg)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    learnt = torch.load(tmp_path / 'whole' / first, weights_only=False)
    prompts = learnt['state_dict']['backbone.prompts.0']
    assert not torch.equal(prompts, whole['backbone.prompts.0'])
    frozen = torch.load(tmp_path / 'vit.pth')
    for key, value in frozen.items():
        assert torch.equal(whole[f'backbone.vit.{key}'], value)
