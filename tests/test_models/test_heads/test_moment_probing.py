"""Moment probing against its formula, and in trainings."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope

from mmdavpt.checks.preflight import preflight
from mmdavpt.errors import UsageError
from mmdavpt.models.heads import MomentProbingHead
from mmdavpt.registry import MODELS
from tests import toy

from ..test_backbones import test_davpt_vit, timm_models
from ..test_backbones.test_timm_runs import DINOV3, SIGLIP, with_weights


def build(classes=3, channels=12, hidden=28, heads=2, extra=1, cls=True):
    """Return a head with weights far from their initial ones."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    head = MomentProbingHead(classes, channels, hidden, heads).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    token = torch.zeros(1) if cls else None
    head.attach(
        SimpleNamespace(
            out_type='raw', num_extra_tokens=extra, cls_token=token
        )
    )
    return head


def test_parameter_counts_of_vit_b():
    init_default_scope('mmpretrain')
    with torch.device('meta'):
        head = MomentProbingHead(num_classes=1000, in_channels=768)
    own = sum(
        p.numel() for n, p in head.named_parameters() if not n.startswith('fc')
    )
    assert own == 394_146
    classifiers = sum(p.numel() for p in head.parameters()) - own
    assert classifiers == 1000 * (768 + 1 + 2883 + 1)


def test_initial_values():
    init_default_scope('mmpretrain')
    head = MomentProbingHead(100, 192)
    head.init_weights()
    for linear in (head.proj, head.fc, head.fc_moments):
        assert 0.019 < linear.weight.std() < 0.021
        assert not linear.bias.any()
    assert (head.norm.weight == 1).all()
    # Those of torch, uniform up to the root of 1 / 27.
    assert 0.15 < head.convs[0].weight.abs().max() < 0.1925


def test_worked_example():
    """One patch, heads of 7 channels, so that one moment is left.

    The patch is twice (1, -1, 0, 0, 0, 0, 0). Each column of the product is a
    multiple of it, so S[0, 0] = S[1, 1] = 1 / sqrt(2), with the other sign in
    S[0, 1] and S[1, 0]. The first convolution keeps the middle of each
    window, of which S[1, 1] alone is not 0.
    """
    head = build(1, 14, 14, 2)
    part = torch.tensor([1.0, -1, 0, 0, 0, 0, 0], dtype=torch.float64)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.proj.weight.copy_(torch.eye(14))
        head.norm.weight.fill_(5)  # the columns have unit length anyway
        head.convs[0].weight[0, 0, 1, 1] = 1
        head.convs[2].weight[0, 0, 0, 0] = 2
        head.fc.weight[0, 0] = 1
        head.fc.bias.fill_(0.5)
        head.fc_moments.weight.fill_(10)
    cls = torch.full((14,), 3.0, dtype=torch.float64)
    tokens = torch.stack([cls, torch.cat([part, part])])[None]
    root = 0.7071067811865476
    gelu = root * 0.7602499389065233  # the normal distribution's at the root
    expected = (3 + 0.5 + 10 * 2 * gelu) / 2
    out = head((tokens,))
    torch.testing.assert_close(
        out, torch.tensor([[expected]], dtype=torch.float64)
    )


def convolve(maps, weight):
    """Convolve maps (D, s, s), 3 x 3 with stride 2, one number at a time."""
    size = (maps.shape[1] - 3) // 2 + 1
    out = maps.new_zeros(len(weight), size, size)
    for d in range(len(weight)):
        for i in range(size):
            for j in range(size):
                window = maps[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                out[d, i, j] = (weight[d] * window).sum()
    return out


@torch.no_grad()
def slow(head, tokens, heads):
    """Return the logits of one image, with a loop for every sum."""
    cls, patches = tokens[0], tokens[1:]
    projected = patches @ head.proj.weight.T + head.proj.bias
    width = projected.shape[1] // heads
    parts = []
    for h in range(heads):
        part = projected[:, h * width : (h + 1) * width].clone()
        for n, z in enumerate(part.clone()):
            z = (z - z.mean()) / (z.var(correction=0) + 1e-5).sqrt()
            part[n] = z * head.norm.weight + head.norm.bias
        parts.append(part - part.mean())
    maps = tokens.new_zeros(heads - 1, width, width)
    for h in range(heads - 1):
        for i in range(width):
            for j in range(width):
                maps[h, i, j] = (parts[h][:, i] * parts[h + 1][:, j]).mean()
        for j in range(width):
            maps[h, :, j] /= (maps[h, :, j] ** 2).sum().sqrt()
    maps = convolve(maps, head.convs[0].weight)
    maps = maps * (1 + torch.erf(maps / math.sqrt(2))) / 2
    moments = convolve(maps, head.convs[2].weight).flatten()
    first = head.fc.weight @ cls + head.fc.bias
    second = head.fc_moments.weight @ moments + head.fc_moments.bias
    return (first + second) / 2


@pytest.mark.parametrize('hidden, heads', [(28, 4), (16, 2), (33, 3)])
def test_it_is_its_formula(hidden, heads):
    head = build(hidden=hidden, heads=heads)
    tokens = torch.randn(2, 6, 12, dtype=torch.float64)
    expected = torch.stack([slow(head, image, heads) for image in tokens])
    torch.testing.assert_close(head((tokens,)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('hidden, heads', [(28, 1), (28, 0), (24, 4), (15, 2)])
def test_numbers_that_do_not_fit(hidden, heads):
    with pytest.raises(ValueError, match='should be at least 7 times'):
        build(hidden=hidden, heads=heads)


def test_moments_have_no_order_number_or_scale_of_patches():
    head = build(heads=4)
    torch.nn.init.zeros_(head.proj.bias)
    head.norm.eps = 0.0
    tokens = torch.randn(2, 9, 12, dtype=torch.float64)
    cls, patches = tokens.split([1, 8], dim=1)
    expected = head((tokens,))
    for same in (patches.flip(1), patches.repeat(1, 3, 1), 7 * patches):
        out = head((torch.cat([cls, same], dim=1),))
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-11)
    moved = head((torch.cat([cls, patches.flip(2)], dim=1),))
    assert (moved - expected).abs().max() > 1e-3


def test_many_equal_patches_do_not_overflow_in_float16():
    """Each adds up to 128 to a product, and 1,369 of them 175,232."""
    head = build(channels=768, hidden=512, heads=4, extra=0, cls=False)
    with torch.no_grad():
        head.proj.weight.zero_()
        head.proj.bias.zero_()
        head.proj.bias[::128] = 100
        head.norm.weight.fill_(1)
        head.norm.bias.zero_()
    patches = torch.zeros(1, 37 * 37, 768, dtype=torch.float16)
    second = head.half().pre_logits((patches,))[1]
    assert second.isfinite().all() and second.abs().max() > 0


def test_everything_in_it_learns():
    head = build(heads=4)
    head((torch.randn(2, 9, 12, dtype=torch.float64),)).sin().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.abs().max() > 1e-6, name


@pytest.mark.parametrize(
    'name, extra',
    [
        (None, 1),
        ('vit_tiny_patch16_224', 1),
        ('vit_small_patch14_reg4_dinov2', 5),
        ('vit_wee_patch16_reg1_gap_256', 1),  # a register, no [CLS]
        ('vit_base_patch16_siglip_224', 0),
    ],
)
@pytest.mark.parametrize('propagate', [False, True])
def test_it_tells_patches_from_other_tokens(name, extra, propagate):
    options = dict(out_type='raw', propagate=propagate)
    if name is None:
        vit = test_davpt_vit.build(**options)
        images = test_davpt_vit.images()
    else:
        vit = timm_models.build(name, **options)
        images = timm_models.images(vit)
    head = build(channels=32)
    head.attach(vit)
    assert (head.num_extra_tokens, head.has_cls) == (extra, vit.has_cls)
    features, tokens = vit.forward_with_tokens(images)
    first, second = head.pre_logits(features)
    patches = tokens.patches
    cls = tokens.cls if vit.has_cls else patches.mean(1)
    torch.testing.assert_close(first, cls)
    alone = build(channels=32, extra=0, cls=False)
    torch.testing.assert_close(second, alone.pre_logits((patches,))[1])


def run_config(work_dir, backbone, pretrained, **changes):
    """Return the toy config of MP+ with prompts and guidance."""
    backbone = dict(
        backbone,
        out_type='raw',
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
        tuners=[dict(type='PSRP', rank=4)],
    )
    head = dict(
        type='mmdavpt.MomentProbingHead',
        in_channels=32,
        hidden_dim=40,
        num_classes=6,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        topk=(1, 2),
        cal_acc=True,
    )
    changes = {
        'model.backbone': backbone,
        'model.head': head,
        'default_hooks.checkpoint.tuned_only': True,
        **changes,
    }
    cfg = toy.classification(work_dir, changes)
    return Config(dict(cfg, runner_type='mmdavpt.DAVPTRunner'))


@pytest.mark.parametrize(
    'backbone', [toy.backbone(), DINOV3, SIGLIP], ids=['ours', 'v3', 'no cls']
)
def test_runs_resume_exactly_from_tuned_weights(backbone, tmp_path):
    init_default_scope('mmpretrain')
    weights = str(tmp_path / 'vit.pth')
    if backbone['type'] == 'mmdavpt.DAVPTTimmViT':
        with_weights(backbone, weights)
    else:
        plain = MODELS.build(dict(backbone, num_prompts=0))
        torch.save(plain.state_dict(), weights)
    cfg = run_config(tmp_path / 'whole', backbone, weights)
    assert preflight(cfg, training=True) == []
    runner = RUNNERS.build(cfg)
    runner.train()
    model = runner.model.eval()
    whole = {k: v.clone() for k, v in model.state_dict().items()}
    first = str(tmp_path / 'whole/epoch_1.pth')
    saved = torch.load(first, weights_only=False)['state_dict']
    for name, parameter in model.named_parameters():
        assert (name in saved) == parameter.requires_grad, name
        if parameter.requires_grad:
            assert not torch.equal(saved[name], whole[name]), name
    assert {name.split('.')[1] for name in saved if name[:4] == 'head'} == {
        *('proj', 'norm', 'convs', 'fc', 'fc_moments')
    }
    again = run_config(tmp_path / 'resumed', backbone, weights)
    again.update(resume=True, load_from=first)
    resumed = RUNNERS.build(again)
    resumed.train()
    state = resumed.model.state_dict()
    assert all(torch.equal(state[name], whole[name]) for name in whole)

    images = torch.randn(3, 3, 32, 32)
    dynamic = ({0: torch.export.Dim('batch')},)
    graph = torch.export.export(model, (images[:2],), dynamic_shapes=dynamic)
    with torch.no_grad():
        torch.testing.assert_close(graph.module()(images), model(images))
    # Test-time augmentation builds the model again.
    views = MODELS.build(
        dict(type='mmdavpt.LabelingClsTTAModel', module=cfg.model)
    )
    views.module.load_state_dict(model.state_dict())
    data = next(iter(runner.val_dataloader))
    data = {k: [[v], [v]] for k, (v, *_) in data.items()}
    expected = model.test_step({k: v[0] for k, v in data.items()})[0]
    averaged = views.eval().test_step(data)[0]
    torch.testing.assert_close(averaged.pred_score, expected.pred_score)


@pytest.mark.parametrize(
    'backbone, kinds',
    [
        (toy.backbone(), ['cls_token', 'featmap', 'avg_featmap']),
        (SIGLIP, ['featmap', 'avg_featmap', 'pooled']),
    ],
)
def test_other_features_are_refused(backbone, kinds, tmp_path):
    for kind in kinds:
        cfg = run_config(tmp_path, dict(backbone), 'none')
        cfg.model.backbone.out_type = kind
        sentence = f"`model`: .*needs .CLS. and patches.*'{kind}'; set it to"
        with pytest.raises(UsageError, match=sentence):
            preflight(cfg, training=True)


def test_a_head_needs_a_backbone():
    init_default_scope('mmpretrain')
    head = MomentProbingHead(3, 12, 28)
    with pytest.raises(UsageError, match='use it in a mmdavpt.DAVPTImageCl'):
        head((torch.randn(2, 9, 12),))
