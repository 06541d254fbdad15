"""Prompted models of timm against timm, and against the plain form."""

import copy
import json

import pytest
import timm
import torch
from timm.layers.attention import Attention, AttentionRope
from timm.models.vision_transformer import Block
from torch import nn

from mmdavpt.errors import UsageError
from mmdavpt.models import DAVPTTimmViT
from mmdavpt.models.backbones import TokenRequest
from mmdavpt.models.backbones.layer_kinds import view_of
from mmdavpt.models.backbones.timm_layer import check_layer
from mmdavpt.models.export import fold_tuners

from .test_davpt_vit import gradients
from .timm_models import (
    NAMES,
    OPTIONS,
    build,
    concatenated_form,
    images,
    more_prefix_tokens,
)


@pytest.mark.parametrize('name', NAMES)
def test_without_prompts_it_is_timm_bit_for_bit(name):
    vit = build(
        name,
        torch.float32,
        num_prompts=0,
        out_type='raw',
        out_indices=[0, 2],
    ).eval()
    size = vit.vit.patch_embed.img_size[0]
    tiny = dict(embed_dim=32, num_heads=2, depth=3, img_size=size)
    plain = timm.create_model(name, **tiny, **OPTIONS.get(name, {})).eval()
    state = vit.vit.state_dict()
    head = {k: v for k, v in plain.state_dict().items() if k[:5] == 'head.'}
    plain.load_state_dict({**state, **head})
    x = images(vit, dtype=torch.float32)
    with torch.no_grad():
        first, last = vit(x)
        assert torch.equal(last, plain.forward_features(x))
        prefix, patches = vit.num_extra_tokens, first.shape[1]
        expected = plain.forward_intermediates(
            x, [0], output_fmt='NLC', intermediates_only=True
        )[0]
        assert torch.equal(first[:, prefix:patches], expected)
        vit.out_type = 'pooled'
        pooled = plain.forward_head(plain.forward_features(x), True)
        assert torch.equal(vit(x)[1], pooled)


@pytest.mark.parametrize('name', NAMES)
def test_prefix_equals_concatenated_form(name):
    vit = build(name, out_type='raw', out_indices=[0, 1, 2]).train()
    x = images(vit, 3, 5)  # another size than the position embeddings'
    runs = []
    for run in (vit, lambda x: concatenated_form(vit, x)):
        outs = run(x)
        runs.append(([*outs], gradients(outs, vit)))
    (ours, grads), (expected, expected_grads) = runs
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    for key, grad in expected_grads.items():
        torch.testing.assert_close(
            grads[key], grad, rtol=1e-10, atol=1e-10, msg=key
        )
        assert grad.abs().max() > 1e-6
    vit.eval()
    with torch.no_grad():
        for _ in range(2):  # the second with kept prompts
            torch.testing.assert_close([*vit(x)], expected, rtol=0, atol=1e-10)


DINOV3, SIGLIP = 'vit_small_patch16_dinov3', 'vit_base_patch16_siglip_224'
EVA02, GAP = 'eva02_base_patch14_224', 'vit_wee_patch16_reg1_gap_256'
QKV_BIAS = 'vit_small_patch16_dinov3_qkvb'


@pytest.mark.parametrize('name', [DINOV3, 'vit_small_patch14_reg4_dinov2'])
def test_other_forms_equal_the_prefix(name):
    plain = build(name)
    x = images(plain)
    expected = plain(x)[0]
    for form in (dict(propagate=True), dict(with_cp=True)):
        vit = build(name, **form).train()
        torch.testing.assert_close(vit(x)[0], expected, rtol=0, atol=1e-10)
        assert all(g is not None for g in gradients(vit(x), vit).values())
    pooled = build(name, out_type='avg_featmap', pool_prompts=True)
    out, extra = pooled(x)[0], pooled.num_extra_tokens
    tokens = build(name, out_type='raw', propagate=True)(x)[0]
    # All but [CLS] and registers: prompts, which `raw` drops, and patches.
    assert (tokens[:, extra:].mean(1) - out).abs().max() > 1e-3
    shallow = build(name, num_prompts=(4, 0, 0), propagate=True)
    assert (shallow(x)[0] - expected).abs().max() > 1e-3


def test_shallow_prompts_pass_on_unrotated():
    vit = build(DINOV3, num_prompts=(4, 0, 0), propagate=True, out_type='raw')
    x = images(vit)
    model = vit.vit
    tokens, rope = model._pos_embed(model.patch_embed(x))
    first = model.num_prefix_tokens
    prompts = vit.prompts['0'].expand(2, -1, -1)
    tokens = torch.cat([tokens[:, :first], prompts, tokens[:, first:]], 1)
    for block in model.blocks:
        with more_prefix_tokens(block, 4):
            tokens = block(tokens, rope=rope)
    tokens = model.norm(tokens)
    expected = torch.cat([tokens[:, :first], tokens[:, first + 4 :]], 1)
    torch.testing.assert_close(vit(x)[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize('name', [DINOV3, SIGLIP, GAP])
def test_kinds_of_features(name):
    kinds = {
        kind: build(name, num_prompts=0, out_type=kind)
        for kind in ('raw', 'featmap', 'avg_featmap', 'pooled')
    }
    x = images(kinds['raw'])
    out = {kind: vit(x)[0] for kind, vit in kinds.items()}
    first = kinds['raw'].num_extra_tokens
    patches = out['raw'][:, first:]
    assert torch.equal(out['featmap'].flatten(2).transpose(1, 2), patches)
    assert out['featmap'].shape == (2, 32, 4, 4)
    model = kinds['raw'].vit
    assert torch.equal(out['avg_featmap'], model.fc_norm(patches.mean(1)))
    assert torch.equal(out['pooled'], model.forward_head(out['raw'], True))
    if name == DINOV3:
        cls = build(name, num_prompts=0)(x)[0]
        torch.testing.assert_close(cls, out['raw'][:, 0])
    padded = images(kinds['raw'], 3, 4)
    padded[..., -5:] = 0
    vit = kinds['featmap']
    assert torch.equal(vit(padded[..., :-5])[0], vit(padded)[0])
    assert vit(padded)[0].shape == (2, 32, 3, 4)


@pytest.mark.parametrize('name', [DINOV3, SIGLIP])
def test_class_representations(name):
    """[CLS], or the model's own pooling, before prompts and tuners."""
    vit = build(name, tuners=[dict(type='LoRA')], out_type='featmap')
    x = images(vit)
    model = vit.vit
    features = model.forward_features(x)
    expected = features[:, 0] if vit.has_cls else model.forward_head(features)
    torch.testing.assert_close(vit.unprompted_tokens(x).cls, expected)
    if not vit.has_cls:  # pooling costs, so only where it is used
        assert vit.forward_with_tokens(x)[1].cls is None
        request = TokenRequest((2,), frozenset(['cls_input']))
        tokens = vit.forward_with_tokens(x, request)[1]
        pooled = build(name, tuners=[dict(type='LoRA')], out_type='pooled')
        assert torch.equal(tokens.cls, pooled(x)[0])


@pytest.mark.parametrize(
    'name, options, frozen',
    [
        (SIGLIP, dict(out_type='featmap'), {'attn_pool'}),
        (SIGLIP, dict(out_type='pooled', final_norm=False), {'norm'}),
        (GAP, dict(out_type='pooled'), set()),
        (GAP, dict(out_type='raw', tuners=[dict(type='SSF')]), {'fc_norm'}),
        (
            GAP,
            dict(out_type='avg_featmap', out_indices=[0, 1]),
            {'blocks'},
        ),
        (DINOV3, dict(out_indices=[1]), {'blocks', 'norm'}),
    ],
)
def test_all_that_trains_has_a_gradient(name, options, frozen):
    vit = build(name, trainable=('*',), **options)
    outs = vit(images(vit))
    assert all(grad is not None for grad in gradients(outs, vit).values())
    kept = [n for n, p in vit.named_parameters() if not p.requires_grad]
    assert {name.split('.')[1] for name in kept} == frozen


class Adapted(nn.Module):
    """A linear layer that other libraries wrapped."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear
        self.scale = nn.Parameter(torch.tensor(1.5).double())

    def __getattr__(self, name):
        own = {**self._parameters, **self._modules}
        return own[name] if name in own else getattr(self.linear, name)

    def forward(self, x):
        return self.linear(x) * self.scale


@pytest.mark.parametrize('name', [EVA02, DINOV3, 'vit_tiny_patch16_224'])
def test_wrapped_projections_are_called(name):
    vit = build(name, out_type='raw', bias=('k',)).eval()
    names = ['qkv']
    if name == EVA02:
        names = ['k_proj', 'v_proj']
    attn = vit.layers[1].attn
    for part in names:
        setattr(attn, part, Adapted(getattr(attn, part)))
    x = images(vit)
    for scale in (1.5, 2.5):
        for part in names:
            getattr(attn, part).scale.data.fill_(scale)
        with torch.no_grad():
            scaled = vit(x)[0]
        plain = build(name, out_type='raw', bias=('k',)).eval()
        with torch.no_grad():
            for part in names:
                linear = getattr(plain.layers[1].attn, part)
                for parameter in linear.parameters():
                    parameter.mul_(scale)
            torch.testing.assert_close(scaled, plain(x)[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize('targets', [('q',), ('q', 'fc1', 'fc2')])
@pytest.mark.parametrize('name', [DINOV3, EVA02, 'vit_tiny_patch16_224'])
def test_drops_are_those_of_timm(name, targets):
    drops = {
        f'{part}_drop_rate': 0.3 for part in ('pos', 'proj', 'attn', 'patch')
    }
    vit = build(
        name,
        num_prompts=0,
        out_type='raw',
        trainable=('*',),
        tuners=[dict(type='LoRA', targets=targets)],
        drop_path_rate=0.3,
        perturb=False,
        **drops,
    ).train()
    x = images(vit)
    torch.manual_seed(0)
    ours = vit(x)[0]
    torch.manual_seed(0)
    torch.testing.assert_close(ours, vit.vit.forward_features(x))
    assert not torch.equal(vit(x)[0], ours)


@pytest.mark.parametrize('name', [QKV_BIAS, EVA02, GAP])
def test_kept_prompts_follow_every_weight(name):
    vit = build(name, out_type='raw').eval()
    x = images(vit)
    layer = vit.layers[1]
    sources = {
        **dict(layer.norm1.named_parameters(prefix='norm1')),
        **dict(layer.attn.named_parameters()),
    }
    with torch.no_grad():
        for key, parameter in sources.items():
            before = vit(x)[0]
            parameter.data.mul_(1.5).add_(0.3)
            after = vit(x)[0]
            assert torch.equal(after, copy.deepcopy(vit)(x)[0]), key
            assert not torch.equal(after, before), key


@pytest.mark.parametrize('name', [DINOV3, EVA02, GAP])
def test_autocast(name):
    vit = build(name, torch.float32, out_type='raw').eval()
    x = images(vit, 3, 5, torch.float32)
    with torch.no_grad():
        exact = vit(x)[0]
        with torch.autocast('cpu', torch.bfloat16):
            outs, plain = vit(x)[0], concatenated_form(vit, x)[-1]
            patches = vit.unprompted_tokens(x).patches
            expected = vit.vit.forward_features(x)
    assert torch.equal(patches, expected[:, vit.num_extra_tokens :])
    assert outs.dtype == plain.dtype
    errors = [(out - exact).abs().mean() for out in (outs, plain)]
    assert 0 < errors[0] < 1.3 * errors[1]


def test_whole_graph_is_compiled():
    torch.compiler.reset()
    vit = build(DINOV3, out_type='raw').train()
    compiled = torch.compile(vit, fullgraph=True, backend='eager')
    x = images(vit, 3, 5)
    torch.testing.assert_close(compiled(x), vit(x))


FULL = (
    'vit_small_patch14_reg4_dinov2 vit_base_patch16_siglip_224 '
    'vit_small_patch16_dinov3 eva02_base_patch14_224 '
    'vit_base_patch16_clip_224'
).split()


@pytest.mark.slow
@pytest.mark.parametrize('name', FULL)
def test_full_size(name):
    options = dict(img_size=224, out_type='raw')
    vit = DAVPTTimmViT(name, num_prompts=10, **options).eval()
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        plain = timm.create_model(name, num_classes=0, img_size=224).eval()
        plain.load_state_dict(vit.vit.state_dict())
        unprompted = DAVPTTimmViT(name, num_prompts=0, **options).eval()
        unprompted.vit.load_state_dict(plain.state_dict())
        assert torch.equal(unprompted(x)[0], plain.forward_features(x))
        for dtype, atol in ((torch.float32, 2e-4), (torch.float64, 1e-10)):
            vit, x = vit.to(dtype), x.to(dtype)
            torch.testing.assert_close(
                vit(x)[0], concatenated_form(vit, x)[-1], rtol=0, atol=atol
            )


@pytest.mark.parametrize('name', ['vit_small_patch16_rope_mixed_224', DINOV3])
def test_layer_inputs_are_those_of_timm(name):
    vit = build(name, out_type='raw')
    x = images(vit)
    inputs, first = [*vit.layer_inputs(x)], vit.num_extra_tokens
    expected = vit.vit.forward_intermediates(
        x, [0, 1], output_fmt='NLC', intermediates_only=True
    )
    torch.testing.assert_close(inputs[1:], expected)
    assert torch.equal(inputs[0], vit.embed(x, {}).x[:, first:])


def test_only_what_tuning_adds_trains():
    vit = build(DINOV3, tuners=[dict(type='LoRA')], perturb=False)
    trained = {n for n, p in vit.named_parameters() if p.requires_grad}
    assert trained and all(
        n.startswith(('prompts', 'tuners')) for n in trained
    )
    dropping = dict(drop_path_rate=0.5, pos_drop_rate=0.5, attn_drop_rate=0.5)
    vit = build(DINOV3, **dropping).train()
    assert not vit.vit.rope.training and not vit.vit.blocks[1].training
    assert torch.equal(vit(images(vit))[0], vit(images(vit))[0])
    part = ('vit.blocks.1.*', 'vit.reg_token')
    vit = build(DINOV3, trainable=part, **dropping).train()
    assert vit.vit.blocks[1].training and vit.vit.pos_drop.training
    assert not vit.vit.blocks[0].training
    full = build(DINOV3, num_prompts=0, trainable=('*',), perturb=False)
    assert all(p.requires_grad for p in full.parameters())


@pytest.mark.parametrize('prefix', ['backbone.vit.', 'vit.', ''])
def test_weights_load_strictly(prefix, tmp_path):
    source = build(DINOV3, torch.float32)
    state = source.vit.state_dict(prefix=prefix)
    state['head.weight' if not prefix else 'optimizer'] = torch.zeros(10, 32)
    path = tmp_path / 'weights.pth'
    torch.save(state, path)
    weights = dict(type='Pretrained', checkpoint=str(path))
    vit = build(DINOV3, torch.float32, init_cfg=weights)
    prompts = vit.prompts['0'].clone()
    vit.init_weights()
    for key, value in source.vit.state_dict().items():
        assert torch.equal(vit.vit.state_dict()[key], value)
    assert torch.equal(vit.prompts['0'], prompts)
    assert vit.normalization.mean == pytest.approx((123.675, 116.28, 103.53))
    for wrong, problem in (
        (dict(depth=2), 'unexpected .*blocks.2'),
        (dict(qkv_fused=False), 'missing .*k_proj'),
        (dict(embed_dim=64), 'mismatched shape of .*cls_token'),
    ):
        vit = build(DINOV3, torch.float32, init_cfg=weights, **wrong)
        with pytest.raises(UsageError, match=problem):
            vit.init_weights()


def test_values_and_names_of_authors_are_checked(tmp_path):
    name, path = 'deit3_small_patch16_224', tmp_path / 'weights.pth'
    source = build(name, torch.float32)
    state = {
        key.replace('ls1.gamma', 'gamma_1').replace('ls2.gamma', 'gamma_2'): v
        for key, v in source.vit.state_dict().items()
    }
    weights = dict(type='Pretrained', checkpoint=str(path))
    vit = build(name, torch.float32, init_cfg=weights)
    torch.save(state, path)
    vit.init_weights()
    assert torch.equal(vit.layers[1].ls2.gamma, source.layers[1].ls2.gamma)
    state['norm.bias'] = torch.full((32,), torch.nan)
    torch.save(state, path)
    with pytest.raises(UsageError, match='norm.bias'):
        vit.init_weights()


def test_config_json_is_held_to_its_architecture(tmp_path):
    name = 'vit_small_patch16_rope_ape_224'
    source = build('vit_small_patch16_224', torch.float32)
    torch.save(source.vit.state_dict(), tmp_path / 'pytorch_model.bin')
    config = dict(architecture=name, model_args=dict(depth=1))
    (tmp_path / 'config.json').write_text(json.dumps(config))
    weights = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'pytorch_model.bin')
    )
    vit = build('vit_small_patch16_224', init_cfg=weights)
    with pytest.raises(UsageError, match=f"set model_name='{name}'"):
        vit.init_weights()
    config.update(
        architecture='vit_small_patch16_224',
        pretrained_cfg=dict(mean=[0.1] * 3, std=[0.2] * 3),
    )
    (tmp_path / 'config.json').write_text(json.dumps(config))
    vit.init_weights()
    assert vit.normalization.mean == pytest.approx([25.5] * 3)


def test_pretrained_weights_are_those_of_the_name():
    vit = build(DINOV3, pretrained=True)
    expected = dict(type='Pretrained', checkpoint=f'timm://{DINOV3}')
    assert vit.init_cfg == expected
    weights = dict(type='Pretrained', checkpoint='vit.pth')
    assert build(DINOV3, pretrained=True, init_cfg=weights).init_cfg == weights


@pytest.mark.parametrize(
    'name, options, message',
    [
        ('vit_smal_patch16_224', {}, "did you mean 'vit_small_patch16_224'"),
        (
            'resnet18',
            {},
            'build the model resnet18 .*dynamic_img.*or Eva',
        ),
        (f'{SIGLIP}.none', {}, 'Invalid pretrained tag'),
        (SIGLIP, dict(embed_dims=8), 'options .*unexpected .*embed_dims'),
        ('deit_tiny_distilled_patch16_224', {}, 'a VisionTransformerDistil'),
        ('vit_small_r26_s32_224', {}, 'has a HybridEmbed .*convolutional'),
        ('vit_base_patch16_xp_224', {}, 'xp_224: its layers .*Block, which'),
        ('vit_base_patch16_rpn_224', {}, 'have ResPostBlock'),
        (SIGLIP, dict(out_type='cls_token'), 'has no .CLS.'),
        (DINOV3, dict(out_type='cls'), '`out_type` should be one of'),
        (DINOV3, dict(out_indices=[3]), 'layers out of the 3 that are'),
        (DINOV3, dict(out_indices=[]), 'layers out of the 3 that are'),
        (DINOV3, dict(out_indices=[1, 1]), 'each once, but got .1, 1.'),
        (SIGLIP, dict(num_heads=3), 'should be divisible'),
        (DINOV3, dict(pool_prompts=True), '`pool_prompts` needs'),
        (DINOV3, dict(num_prompts=-1), '`num_prompts` should be'),
    ],
)
def test_models_and_options_that_cannot_work(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, **{'out_type': 'raw', **options})


@pytest.mark.parametrize(
    'attention, problem',
    [
        (Attention(32, 2, gated=True), 'gated attention'),
        (
            AttentionRope(32, 2, num_kv_heads=1, qkv_fused=False),
            'grouped-query attention',
        ),
    ],
)
def test_other_kinds_of_attention_are_refused(attention, problem):
    block = Block(32, 2)
    block.attn = attention
    with pytest.raises(UsageError, match=f'have {problem}, which'):
        check_layer(block)


def test_folded_tuners_compute_the_same():
    tuners = [dict(type='LoRA', rank=2), dict(type='SSF')]
    for name in (DINOV3, 'vit_base_patch16_clip_224'):
        with pytest.raises(UsageError, match='has no bias'):
            fold_tuners(build(name, bias=('v',), tuners=tuners))
    on_fc1 = [dict(type='LoRA', targets=('fc1',))]
    with pytest.raises(UsageError, match='SwiGLU is two modules'):
        fold_tuners(build(EVA02, tuners=on_fc1))
    for name in ('vit_tiny_patch16_224', GAP):
        vit = build(name, bias=('v',), tuners=tuners, out_type='raw')
        plain = build(name, out_type='raw')
        plain.load_state_dict(fold_tuners(vit))
        x = images(vit)
        torch.testing.assert_close(vit(x), plain(x), rtol=0, atol=1e-10)


def test_normalized_keys_keep_the_dtype_of_values():
    """A norm gives float32 in autocast on a GPU."""
    layer = build(GAP, torch.float32, out_type='raw').layers[0]
    layer.attn.k_norm.register_forward_hook(lambda *args: args[-1].float())
    tokens = torch.randn(2, 5, 32, dtype=torch.bfloat16)
    layer.attn.k_norm.to(torch.bfloat16)
    assert view_of(layer).position('k', tokens).dtype == torch.bfloat16
