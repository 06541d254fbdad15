"""Peft: names, weights, passes and files, without the package peft."""

import ast
import copy
import sys

import pytest
import torch

from mmdavpt.errors import UsageError
from mmdavpt.models.export import fold_tuners
from mmdavpt.models.tuners import Peft
from mmdavpt.registry import TUNERS

from ...source_tree import modules
from ..test_backbones import timm_models
from ..test_backbones.test_davpt_vit import build, gradients, images
from . import fake_peft

TARGETS = ['attn.qkv', 'proj', 'ffn.layers.1']
#: One of each kind of module that is read in another way than by a call.
EVA = 'eva02_base_patch14_224'
FUSED_EVA = 'vit_small_patch16_dinov3_qkvb'


@pytest.fixture
def peft(monkeypatch):
    fake_peft.install(monkeypatch)


def tuner(target_modules=TARGETS, **config):
    config.setdefault('peft_type', 'LORA')
    return dict(
        type='Peft', config=dict(target_modules=target_modules, **config)
    )


def tuned(config=None, **kwargs):
    return build(tuners=[config or tuner()], **kwargs)


def plain_of(vit, **kwargs):
    """Return a backbone with the same pre-trained weights and prompts."""
    plain = build(perturb=False, **kwargs).train(vit.training)
    plain.load_state_dict(vit.state_dict(), strict=False)
    return plain


@pytest.fixture
def weights(tmp_path):
    """Return the path of pre-trained weights, and the config for them."""
    path = str(tmp_path / 'vit.pth')
    state = build(num_prompts=0, dtype=torch.float32).state_dict()
    torch.save(state, path)
    return state, dict(type='Pretrained', checkpoint=path)


def test_peft_is_imported_only_when_used():
    assert TUNERS.get('Peft') is Peft
    for name, tree in modules().items():
        for node in tree.body:
            found = [alias.name for alias in getattr(node, 'names', ())]
            if isinstance(node, ast.ImportFrom):
                found = [] if node.level else [node.module]
            assert 'peft' not in {n.split('.')[0] for n in found}, name


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(UsageError, match=r"pip install 'mmdavpt\[peft\]'"):
        tuned()


@pytest.mark.parametrize('writes', [False, True])
def test_frozen_weights_keep_names_and_values(peft, weights, writes):
    state, init_cfg = weights
    vit = tuned(
        tuner(writes=writes),
        init_cfg=init_cfg,
        perturb=False,
        dtype=torch.float32,
        num_prompts=2,
    )
    before = dict(vit.named_parameters())
    vit.init_weights()
    names = {n for n in vit.state_dict() if not n.startswith('tuners.')}
    assert names == {*state, 'prompts.0', 'prompts.1', 'prompts.2'}
    for name, value in state.items():
        assert torch.equal(vit.state_dict()[name], value), name
    # The optimizer is built before the weights are loaded.
    assert all(before[n] is p for n, p in vit.named_parameters())
    trained = {n for n, p in vit.named_parameters() if p.requires_grad}
    added = {n for n in trained if n.startswith('tuners.Peft.')}
    assert trained - added == {'prompts.0', 'prompts.1', 'prompts.2'}
    assert len(added) == 3 * 3 * 2
    assert 'tuners.Peft.layers_0_attn_qkv.down' in added
    plain = plain_of(vit, dtype=torch.float32, num_prompts=2)
    x = images(dtype=torch.float32)
    torch.testing.assert_close(vit(x), plain(x), rtol=0, atol=1e-5)
    # Values of the start follow the loaded weights.
    weight = state['layers.0.attn.qkv.weight']
    norms = vit.tuners.Peft.layers_0_attn_qkv.norms['default']
    torch.testing.assert_close(norms, weight.norm(dim=1))


@pytest.mark.parametrize('writes', [False, True])
def test_a_state_restores_everything(peft, writes):
    vit = tuned(tuner(writes=writes)).eval()
    x = images()
    out = vit(x)[0]
    torch.manual_seed(7)
    other = tuned(tuner(writes=writes), perturb=False).eval()
    layer = other.tuners.Peft.layers_0_attn_qkv
    layer.norms['default'].zero_()
    layer.indices['default'] = layer.indices['default'].flip(0)
    assert not torch.equal(other(x)[0], out)
    other.load_state_dict(vit.state_dict())
    assert torch.equal(other(x)[0], out)
    copied = copy.deepcopy(vit)
    copied.layers[0].attn.qkv.weight.data.mul_(2)
    copied.tuners.Peft.layers_1_attn_qkv.up.data.mul_(2)
    assert torch.equal(vit(x)[0], out)
    assert (copied(x)[0] - out).abs().max() > 1e-3
    # What all layers share is saved once.
    assert sum('bank' in name for name in vit.state_dict()) == 1


def test_layers_equal_the_formula(peft):
    """Merging by hand into a plain backbone gives the same outputs."""
    vit = tuned().train()
    plain = plain_of(vit)
    for name, module in plain.named_modules():
        key = name.replace('.', '_')
        if key in vit.tuners.Peft._modules:
            layer = vit.tuners.Peft.get_submodule(key)
            product = (
                layer.up @ (0.5 * layer.down)[:, layer.indices['default']]
            )
            rows = layer.norms['default'][:, None]
            module.weight.data += (rows * product * layer.scale).detach()
    for outs in zip(vit(images()), plain(images()), strict=True):
        torch.testing.assert_close(*outs, rtol=0, atol=1e-10)
    grads = gradients(vit(images()), vit)
    assert all(grad.abs().max() > 1e-6 for grad in grads.values())


@pytest.mark.parametrize('writes', [False, True])
@pytest.mark.parametrize('others', [{}, dict(bias=('k', 'v'))])
def test_fold(peft, writes, others):
    lora = dict(type='LoRA', rank=2, targets=('q', 'fc2'))
    vit = build(tuners=[lora, tuner(writes=writes)], **others).eval()
    folded = build(perturb=False).eval()
    folded.load_state_dict(fold_tuners(vit))
    for outs in zip(vit(images()), folded(images()), strict=True):
        torch.testing.assert_close(*outs, rtol=0, atol=1e-10)


def test_unfoldable_method(peft):
    with pytest.raises(UsageError, match='peft cannot fold: this method'):
        fold_tuners(tuned(tuner(merges=False)))


@pytest.mark.parametrize('writes', [False, True])
def test_the_pass_before_training_is_unwrapped(peft, writes):
    vit = tuned(tuner(writes=writes))
    plain = plain_of(vit)
    x = images()
    before = vit(x)[0]
    ours, theirs = vit.unprompted_tokens(x), plain.unprompted_tokens(x)
    assert torch.equal(ours.cls, theirs.cls)
    for one, other in zip(
        vit.layer_inputs(x), plain.layer_inputs(x), strict=True
    ):
        assert torch.equal(one, other)
    next(vit.layer_inputs(x))  # abandoned
    assert torch.equal(vit(x)[0], before)
    assert not torch.equal(before, plain(x)[0])


@torch.no_grad()
def test_prompts_are_not_cached(peft):
    """The cache does not know what a wrapped norm computes."""
    vit = tuned(tuner(['ln1'])).eval()
    vit(images())
    out = vit(images())[0]
    vit.tuners.Peft.layers_1_ln1.up.add_(1)
    changed = vit(images())[0]
    fresh = copy.deepcopy(vit).train().eval()
    assert torch.equal(fresh(images())[0], changed)
    assert not torch.equal(changed, out)


def test_layers_that_never_run_are_not_wrapped(peft):
    vit = tuned(tuner(['attn.qkv', 'ln1']), out_indices=[0])
    assert {*vit.tuners.Peft._modules} == {'layers_0_attn_qkv', 'layers_0_ln1'}
    assert all(g is not None for g in gradients(vit(images()), vit).values())


def test_layers_follow_the_weights_of_timm(peft):
    vit = timm_models.build(EVA, tuners=[tuner(['q_proj'])])
    weight = vit.layers[1].attn.q_proj.weight
    norms = vit.tuners.Peft.vit_blocks_1_attn_q_proj.norms
    assert not torch.allclose(norms['default'], weight.norm(dim=1))
    vit.init_weights()
    torch.testing.assert_close(norms['default'], weight.norm(dim=1))


@pytest.mark.parametrize(
    'name, target', [(EVA, 'q_proj'), (FUSED_EVA, 'attn.qkv')]
)
@pytest.mark.parametrize('num_prompts', [0, 2])
def test_timm_layers_that_read_weights(peft, name, target, num_prompts):
    cfg = dict(num_prompts=num_prompts, out_type='raw')
    vit = timm_models.build(name, tuners=[tuner([target])], **cfg).eval()
    plain = timm_models.build(name, perturb=False, **cfg).eval()
    plain.load_state_dict(vit.state_dict(), strict=False)
    folded = timm_models.build(name, perturb=False, **cfg).eval()
    folded.load_state_dict(fold_tuners(vit))
    x = timm_models.images(vit)
    out = vit(x)[0]
    torch.testing.assert_close(out, folded(x)[0], rtol=0, atol=1e-10)
    assert (out - plain(x)[0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    'config, message',
    [
        (tuner(['qvk']), r"has 'qvk', .*'attn\.qkv'.*did you mean 'qkv'"),
        (tuner(['qkv', 'atn.proj']), "did you mean 'attn.proj'"),
        (tuner(['attn']), 'should be single'),
        (tuner(peft_type='LORRA'), "'LORRA' is not a valid PeftType"),
        (tuner(rank=4), "peft's LORA has no option 'rank'"),
        (tuner(mergs=True), "no option 'mergs'; did you mean 'merges'"),
        (tuner(peft_type='VERA'), 'cannot use VERA: its layers share'),
        (
            dict(type='Peft', config=dict(peft_type='PROMPT_TUNING')),
            'cannot use PROMPT_TUNING: it adds tokens',
        ),
        (
            tuner(peft_type='ADALORA', init_r=6),
            'cannot use ADALORA: it changes ranks .* set target_r to init_r',
        ),
        (tuner(bias='all'), 'trains frozen weights; use `trainable`'),
        (tuner(modules_to_save=['ln1']), 'trains frozen weights'),
    ],
)
def test_rejections(peft, config, message):
    with pytest.raises(ValueError, match=message):
        tuned(config, perturb=False)


def test_a_module_is_wrapped_once(peft):
    second = dict(tuner(['qkv']), name='second')
    with pytest.raises(UsageError, match='unwrapped'):
        build(tuners=[tuner(), second])
    second = dict(tuner(['ffn.layers.0.0']), name='second')
    vit = build(tuners=[tuner(), second])
    assert vit(images())[0].isfinite().all()


def test_layers_on_weights_in_bfloat16_train_in_float32(peft):
    vit = tuned(frozen_dtype='bfloat16', dtype=torch.float32)
    vit.store_frozen('bfloat16')
    vit.adapt_tuners()  # again, as after loading
    for name, value in vit.named_parameters():
        matrix = name.endswith('weight') and value.ndim > 1
        frozen = matrix and not value.requires_grad
        assert value.dtype == (torch.bfloat16 if frozen else torch.float32)
    module, wrapper = vit.tuners['Peft'].wrapped[0]
    assert wrapper.base_layer.weight is module.weight
    # In bfloat16, a norm would be rounded.
    norms = module.weight.float().norm(dim=1)
    torch.testing.assert_close(
        wrapper.norms['default'], norms, rtol=1e-6, atol=0
    )
    assert vit(images(dtype=torch.float32))[0].dtype == torch.float32
