"""Several backbones in one pass, against each backbone alone."""

import pytest
import torch

from mmdavpt.api.multi_task import mixed_features
from mmdavpt.models import DAVPTTimmViT, DAVPTVisionTransformer
from mmdavpt.models.backbones import forward_pass

from ...toy import ARCH

ARCH4 = dict(ARCH, num_layers=4)


def build(kind, **options):
    if kind == 'mmpretrain':
        vit = DAVPTVisionTransformer(
            arch=ARCH4, img_size=32, patch_size=8, **options
        )
    else:
        vit = DAVPTTimmViT(
            kind, img_size=28, depth=4, embed_dim=32, num_heads=4, **options
        )
    return vit


def share(kind, number, **options):
    """Return backbones that differ in the values of prompts alone."""
    torch.manual_seed(0)
    vits = [build(kind, **options).eval() for _ in range(number)]
    with torch.no_grad():  # layer scales of 1e-5 would hide the prompts
        for value in vits[0].parameters():
            value.add_(0.2 * torch.randn_like(value))
    for vit in vits[1:]:
        state = vits[0].state_dict()
        own = {k: v for k, v in vit.state_dict().items() if 'prompts.' in k}
        vit.load_state_dict(state | own)
    with torch.no_grad():
        for vit in vits:
            for name, value in vit.named_parameters():
                if name.startswith('prompts.'):
                    value.normal_()
    return vits


CASES = [
    ('mmpretrain', dict(num_prompts=3)),
    ('mmpretrain', dict(num_prompts=(0, 0, 2, 1), out_type='featmap')),
    ('mmpretrain', dict(num_prompts=0, out_indices=(1, 3))),
    (
        'mmpretrain',
        dict(num_prompts=(0, 0, 2, 0), out_indices=(0, 3), out_type='featmap'),
    ),
    ('vit_small_patch14_dinov2', dict(num_prompts=(0, 2, 0, 3))),
    ('vit_small_patch14_reg4_dinov2', dict(num_prompts=2, out_type='raw')),
    ('eva02_tiny_patch14_224', dict(num_prompts=2)),  # rotates patches
]


@pytest.mark.parametrize('grad', [False, True])
@pytest.mark.parametrize('kind, options', CASES)
def test_equals_each_backbone_alone(kind, options, grad):
    vits = share(kind, 3, **options)
    size = 32 if kind == 'mmpretrain' else 28
    images = torch.randn(4, 3, size, size)
    rows = [[2, 0], [1], [0, 3, 2]]
    # Of as many images, so that the matrix products have the same shapes.
    repeated = images[[i for own in rows for i in own]]
    with torch.set_grad_enabled(grad):
        found = mixed_features(vits, images, rows)
        start = 0
        for vit, own, given in zip(vits, rows, found, strict=True):
            assert given.shape == images[own].shape
            features = vit(given)
            alone = vit(images[own])
            whole = [x[start : start + len(own)] for x in vit(repeated)]
            assert len(features) == len(alone)
            for x, one, same in zip(features, alone, whole, strict=True):
                assert x.shape == one.shape
                torch.testing.assert_close(x, one, rtol=1e-4, atol=1e-5)
                if '0' in vit.prompts:  # or lower layers run other rows
                    assert torch.equal(x, same)
            start += len(own)
        if vits[0].prompts:  # or the test would see nothing
            one, other = (vit(images)[-1] for vit in vits[:2])
            assert not torch.allclose(one, other, atol=1e-2)


@pytest.mark.parametrize(
    'options, rows',
    [
        (dict(num_prompts=0), [2, 2, 2, 2]),
        (dict(num_prompts=1), [6, 6, 6, 6]),
        (dict(num_prompts=(0, 0, 2, 0)), [2, 2, 6, 6]),
        (dict(num_prompts=(0, 0, 2, 0), out_indices=(1, 3)), [2, 6, 6, 6]),
    ],
)
def test_below_the_prompts_an_image_runs_once(monkeypatch, options, rows):
    vits = share('mmpretrain', 3, **options)
    seen, run = [], forward_pass._run_layer

    def spy(vit, i, x, task):
        seen.append(len(x))
        return run(vit, i, x, task)

    monkeypatch.setattr(forward_pass, '_run_layer', spy)
    with torch.no_grad():
        mixed_features(vits, torch.randn(3, 3, 32, 32), [[0, 2]] * 3)
    assert seen == rows


def test_the_prompts_are_those_of_the_row():
    """Change one task; only its rows change."""
    vits = share('mmpretrain', 2, num_prompts=2)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = mixed_features(vits, images, [[0, 1], [1]])
        vits[1].prompts['1'] += 1
        after = mixed_features(vits, images, [[0, 1], [1]])
    assert torch.equal(before[0].outs[0], after[0].outs[0])
    assert not torch.allclose(before[1].outs[0], after[1].outs[0])
