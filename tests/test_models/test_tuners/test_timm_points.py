"""Tuners and guided tokens in timm's layers, against a plain pass."""

import pytest
import torch
from timm.layers import GluMlp

from mmdavpt.models.backbones import TOKEN_NAMES, TokenRequest

from ..test_backbones.test_davpt_vit import gradients
from ..test_backbones.timm_models import build, images
from .reference import TUNERS
from .timm_reference import TimmPass

#: Models that together have every kind of part.
NAMES = (
    'vit_small_patch14_reg4_dinov2',  # registers, layer scale
    'vit_giant_patch14_dinov2',  # packed SwiGLU
    'vit_so150m_patch16_reg4_gap_256',  # registers without [CLS]
    'vit_base_patch16_siglip_224',  # attention pooling
    'vit_small_patch16_dinov3_qkvb',  # rotary, fused with separate biases
    'eva02_base_patch14_224',  # separate projections, SwiGLU with norms
    'vit_small_patch16_rope_mixed_224',  # rotary of each layer
    'vit_medium_patch16_rope_reg1_gap_256',
    'vit_wee_patch16_reg1_gap_256',
)


@pytest.mark.parametrize('name', NAMES)
def test_tuners_and_tokens_equal_the_plain_pass(name):
    options = {}
    if 'mixed' in name:
        options = dict(qk_norm=True)
    if 'so150m' in name:
        options = dict(mlp_layer=GluMlp)  # gates with its last half
    vit = build(
        name,
        out_type='featmap',
        bias=('k', 'v'),
        tuners=[dict(type=tuner) for tuner in TUNERS],
        **options,
    ).train()
    targets = torch.tensor([1, 0])
    request = TokenRequest((0, 1, 2), TOKEN_NAMES, targets)
    outs, tokens = vit.forward_with_tokens(images(vit), request)
    expected_outs, expected = TimmPass(vit)(images(vit), targets)
    runs = [
        [*features, *(named[i][n] for i in named for n in sorted(TOKEN_NAMES))]
        for features, named in (
            (outs, tokens.guided),
            (expected_outs, expected),
        )
    ]
    torch.testing.assert_close(*runs, rtol=0, atol=1e-10)
    ours, theirs = (gradients(run, vit) for run in runs)
    for key, grad in theirs.items():
        torch.testing.assert_close(
            ours[key], grad, rtol=1e-9, atol=1e-9, msg=key
        )
        assert grad.abs().max() > 1e-8, key
