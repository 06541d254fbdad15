"""Methods in timm's layers: against a plain pass, folded, and rejected."""

import pytest
import torch

from mmdavpt.errors import UsageError
from mmdavpt.models.export import fold_tuners

from ..test_backbones.test_davpt_vit import gradients
from ..test_backbones.timm_models import build, images
from .timm_reference import TimmPass

DINOV2 = 'vit_small_patch14_reg4_dinov2'
ROTARY = 'vit_small_patch16_rope_mixed_224'
SEPARATE = 'eva02_base_patch14_224'
UNBIASED = 'vit_small_patch16_dinov3'
#: Its biases are parameters next to the fused projection, but not for keys.
OWN_BIASES = 'vit_small_patch16_dinov3_qkvb'
TEMPERATURE = dict(type='AttentionTemperature')
SHARED = dict(
    type='LoRA', rank=2, alpha=4, targets=('q', 'k', 'v'), share_a=True
)
MOSA = dict(type='MoSA', rank=3)


@pytest.mark.parametrize('name', [DINOV2, ROTARY, SEPARATE])
@pytest.mark.parametrize('tuner', [TEMPERATURE, SHARED, MOSA])
def test_methods_equal_the_plain_pass(name, tuner):
    vit = build(name, out_type='featmap', tuners=[tuner]).eval()
    targets = torch.tensor([1, 0])
    ours, (theirs, _) = vit(images(vit)), TimmPass(vit)(images(vit), targets)
    torch.testing.assert_close([*ours], theirs, rtol=0, atol=1e-10)
    expected, grads = gradients(theirs, vit), gradients(ours, vit)
    for key, grad in expected.items():
        torch.testing.assert_close(grads[key], grad, rtol=1e-9, atol=1e-9)
        assert grad.abs().max() > 1e-9, key


@pytest.mark.parametrize(
    'name', [DINOV2, ROTARY, SEPARATE, UNBIASED, OWN_BIASES]
)
def test_folded_methods_compute_the_same(name):
    tuned = build(name, tuners=[TEMPERATURE, SHARED]).eval()
    folded, plain = (build(name).eval() for _ in range(2))
    plain.load_state_dict(tuned.state_dict(), strict=False)
    folded.load_state_dict(fold_tuners(tuned))
    out = tuned(images(tuned))[0]
    torch.testing.assert_close(
        folded(images(tuned))[0], out, rtol=0, atol=1e-10
    )
    assert (plain(images(tuned))[0] - out).abs().max() > 1e-4


def test_biases_next_to_the_projection_are_folded():
    tuned = build(OWN_BIASES, bias=('q', 'v')).eval()
    folded = build(OWN_BIASES).eval()
    folded.load_state_dict(fold_tuners(tuned))
    torch.testing.assert_close(
        folded(images(tuned))[0], tuned(images(tuned))[0], rtol=0, atol=1e-10
    )
    with pytest.raises(UsageError, match="'k' of the backbone has no bias"):
        fold_tuners(build(OWN_BIASES, bias=('k',)))


def test_temperature_rejects_models_that_normalize_queries():
    with pytest.raises(UsageError, match='normalizes them afterwards'):
        build(ROTARY, tuners=[TEMPERATURE], qk_norm=True)
