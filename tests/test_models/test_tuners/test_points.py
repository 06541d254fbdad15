"""With a tuner at any point, the prefix form equals the concatenated form."""

import pytest
import torch

from mmdavpt.models.backbones import (
    LAYER_VIEWS,
    TOKEN_NAMES,
    TokenRequest,
    view_of,
)
from mmdavpt.models.backbones.mmpretrain_layer import MMPretrainLayer
from mmdavpt.models.tuners import POINTS, Tuner

from ..test_backbones.test_davpt_vit import build, gradients, images
from .reference import TUNERS, PlainPass

FORMS = dict(
    two_outputs=dict(out_type='featmap', out_indices=[0, 2]),
    with_cp=dict(with_cp=True, out_type='featmap'),
    shallow=dict(propagate=True, num_prompts=(3, 0, 0), out_type='featmap'),
    pooled=dict(out_type='avg_featmap', pool_prompts=True),
    some_layers=dict(num_prompts=(0, 3, 2)),
    no_prompts=dict(num_prompts=0),
    swiglu=dict(
        layer_cfgs=dict(ffn_type='swiglu_fused'), layer_scale_init_value=0.3
    ),
)


def test_every_point_is_tested():
    found = {
        point
        for tuner in TUNERS
        for point in POINTS
        if getattr(tuner, point) is not getattr(Tuner, point)
    }
    # 'adapt' changes no tensor: see test_peft.py.
    assert found == {*POINTS} - {'adapt'}


def results(vit, request):
    outs, tokens = vit.forward_with_tokens(images(), request)
    return [*outs], tokens.guided


def assert_equal_passes(vit):
    targets = torch.tensor([1, 0])
    layers = tuple(int(layer) for layer in vit.prompts)
    request = TokenRequest(layers, TOKEN_NAMES, targets)
    runs = []
    for outs, tokens in (
        results(vit, request),
        PlainPass(vit)(images(), targets),
    ):
        named = [tokens[i][n] for i in layers for n in sorted(TOKEN_NAMES)]
        runs.append(([*outs, *named], gradients([*outs, *named], vit)))
    torch.testing.assert_close(runs[0][0], runs[1][0], rtol=0, atol=1e-10)
    for name, grad in runs[1][1].items():
        torch.testing.assert_close(
            runs[0][1][name], grad, rtol=1e-10, atol=1e-9, msg=name
        )
        assert grad is not None or 'Prompts' in name and not layers
    plain = vit(images())
    torch.testing.assert_close(
        plain, tuple(runs[1][0][: len(plain)]), rtol=0, atol=1e-10
    )
    with torch.no_grad():
        vit.eval()
        for _ in range(2):
            torch.testing.assert_close(
                vit(images()), plain, rtol=0, atol=1e-10
            )


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
@pytest.mark.parametrize('tuner', TUNERS)
def test_prefix_equals_concatenated_form(tuner, out_type):
    vit = build(tuners=[dict(type=tuner)], out_type=out_type).train()
    assert_equal_passes(vit)
    plain = build(out_type=out_type)
    plain.load_state_dict(vit.state_dict(), strict=False)
    changed = vit(images())[0] - plain(images())[0]
    assert changed.abs().max() > 1e-3
    before = plain.unprompted_tokens(images()).cls
    assert torch.equal(vit.unprompted_tokens(images()).cls, before)


@pytest.mark.parametrize('order', [1, -1])
@pytest.mark.parametrize('form', FORMS)
def test_all_tuners_act_in_the_order_of_the_config(form, order):
    tuners = [dict(type=tuner) for tuner in TUNERS][::order]
    tuners += [dict(type=TUNERS[3], name='again')]
    cfg = dict(tuners=tuners, bias=('k', 'v'), **FORMS[form])
    assert_equal_passes(build(**cfg).train())


class Rotated(MMPretrainLayer):
    """A layer with normalized queries and keys, and rotated patches."""

    positions = True

    def position(self, part, tokens, first_patch=None):
        tokens = tokens / tokens.norm(dim=-1, keepdim=True)
        if first_patch is None:
            return tokens
        rest, patches = tokens.tensor_split([first_patch], dim=1)
        return torch.cat([rest, patches.roll(1, -1)], 1)

    def __call__(self, x):
        raise AssertionError('the library would run it without positions')


def test_prompts_are_normalized_and_not_rotated(monkeypatch):
    kind = next(iter(LAYER_VIEWS))
    monkeypatch.setitem(LAYER_VIEWS, kind, Rotated)
    cfg = dict(out_type='featmap', bias=('k', 'v'))
    deep = build(**cfg)
    among_tokens = build(propagate=True, **cfg)
    out = deep(images())[0]
    expected = among_tokens(images())[0]
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    ours, theirs = gradients([out], deep), gradients([expected], among_tokens)
    for name, grad in theirs.items():
        torch.testing.assert_close(ours[name], grad, rtol=1e-10, atol=1e-9)
    monkeypatch.undo()
    assert (build(**cfg)(images())[0] - out).abs().max() > 1e-3


def test_kinds_of_layers_without_a_view_are_refused():
    with pytest.raises(TypeError, match='Linear cannot be prompted'):
        view_of(torch.nn.Linear(2, 2))
