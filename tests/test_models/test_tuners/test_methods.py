"""Shipped tuners against their formulas, and how tuners are built."""

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from mmdavpt.models import DAVPTVisionTransformer, count_parameters
from mmdavpt.models.tuners import PARTS, Tuner
from mmdavpt.registry import TUNERS

from ..test_backbones.test_davpt_vit import build, gradients, images

LORA = dict(type='LoRA', rank=2)
SHARED = dict(LORA, targets=('q', 'k', 'v'), share_a=True)
TEMPERATURE = dict(type='AttentionTemperature')
ADAPTERS = [
    dict(type='Adapter', form=form, rank=3)
    for form in ('houlsby', 'pfeiffer', 'plus')
]
#: Methods that leave the backbone as it is until they are trained.
IDENTITIES = [
    dict(type='SSF', std=0.0),
    LORA,
    dict(type='LoRA', rank=2, targets=PARTS, alpha=4),
    SHARED,
    TEMPERATURE,
    dict(type='MoSA', rank=3),
    dict(type='AdaptFormer', rank=3),
    dict(type='Bias'),
    dict(type='mmdavpt.Bias', parts=PARTS, name='shifts'),
]
SNF = dict(type='SNF', num_flows=3)
PSRP = dict(type='PSRP', rank=3)
METHODS = [*IDENTITIES, *ADAPTERS, dict(type='SSF'), SNF, PSRP]


@pytest.mark.parametrize(
    'tuner, count',
    [
        (dict(type='LoRA'), 294_912),
        (dict(type='LoRA', targets=('q', 'k', 'v'), share_a=True), 294_912),
        (dict(type='AttentionTemperature'), 12),
        (dict(type='MoSA'), 1_208_064),
        (dict(type='AdaptFormer'), 1_189_632),
        (dict(type='Bias'), 18_432),
        (dict(type='SSF'), 205_824),
        (dict(type='SNF'), 110_640),
        (dict(type='SNF', num_flows=16), 627_072),
        (dict(type='Adapter', form='houlsby'), 294_912),
        (dict(type='Adapter', form='pfeiffer'), 156_768),
        (dict(type='Adapter'), 165_984),
        (dict(type='Adapter', rank=16), 313_536),
        (dict(type='PSRP'), 442_368),
    ],
)
def test_parameter_counts_of_vit_b(tuner, count):
    with torch.device('meta'):
        vit = DAVPTVisionTransformer(arch='b', num_prompts=0, tuners=[tuner])
    assert sum(p.numel() for p in vit.parameters() if p.requires_grad) == count
    model = nn.ModuleDict(dict(backbone=vit))
    counts = count_parameters(model)
    assert counts[f'backbone.tuners.{tuner["type"]}'] == (count, 0)
    assert counts['backbone'] == (0, 85_798_656)


@pytest.mark.parametrize('method', IDENTITIES)
def test_untrained_tuner_changes_nothing(method):
    vit = build(tuners=[method], perturb=False)
    plain = build(num_prompts=4, perturb=False)
    plain.load_state_dict(vit.state_dict(), strict=False)
    torch.testing.assert_close(
        vit(images())[0], plain(images())[0], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize('method', METHODS)
def test_everything_in_a_tuner_learns(method):
    vit = build(tuners=[method], out_type='featmap').train()
    for name, grad in gradients(vit(images()), vit).items():
        # Adding one constant to all keys leaves the softmax unchanged.
        if not name.endswith(('.k', '.k.shift')) or 'LoRA' in name:
            assert grad.abs().max() > 1e-9, name


def test_init_cfg_of_a_model_leaves_tuners_alone():
    vit = build(tuners=[LORA, dict(type='AdaptFormer', rank=3)])
    before = {k: v.clone() for k, v in vit.tuners.state_dict().items()}
    model = BaseModule(dict(type='TruncNormal', layer='Linear', std=1.0))
    model.backbone = vit
    model.init_weights()
    for name, value in vit.tuners.state_dict().items():
        assert torch.equal(value, before[name]), name


def by_hand(vit, change):
    """Run a ViT without prompts, its layers' steps changed by hand."""
    x, *_ = vit.embed(images(), {})
    for i, layer in enumerate(vit.layers):
        qkv = layer.attn.qkv(layer.ln1(x))
        query, key, value = change(i, 'qkv', layer.ln1(x), qkv).chunk(3, -1)
        heads = [
            t.unflatten(-1, (4, -1)).transpose(1, 2)
            for t in (query, key, value)
        ]
        scores = heads[0] @ heads[1].mT / (query.shape[-1] // 4) ** 0.5
        out = (scores.softmax(-1) @ heads[2]).transpose(1, 2).flatten(2)
        x = x + layer.attn.proj(out)
        x = x + change(i, 'mlp', x, layer.ffn.layers(layer.ln2(x)))
    return vit.ln1(x)[:, 0]


def test_lora_is_its_formula():
    vit = build(num_prompts=0, tuners=[dict(LORA, alpha=6)])
    lora = vit.tuners.LoRA

    def change(i, point, x, y):
        if point != 'qkv':
            return y
        products = {
            part: 3 * lora.up[part][i].weight @ lora.down[part][i].weight
            for part in 'qv'
        }
        none = torch.zeros_like(products['q'])
        whole = torch.cat([products.get(part, none) for part in 'qkv'])
        return y + x @ whole.T

    torch.testing.assert_close(
        vit(images())[0], by_hand(vit, change), rtol=0, atol=1e-10
    )


def test_lora_that_shares_a_is_lora_on_fused_qkv():
    vit = build(num_prompts=0, tuners=[dict(SHARED, alpha=6)])
    lora = vit.tuners.LoRA
    assert list(lora.down) == ['qkv'] and list(lora.up) == ['q', 'k', 'v']

    def change(i, point, x, y):
        if point != 'qkv':
            return y
        a = lora.down['qkv'][i].weight  # (2, 32)
        b = torch.cat([lora.up[part][i].weight for part in 'qkv'])  # (96, 2)
        return y + 3 * (x @ a.T) @ b.T

    torch.testing.assert_close(
        vit(images())[0], by_hand(vit, change), rtol=0, atol=1e-10
    )


def test_lora_that_shares_a_by_hand():
    vit = build(torch.float32, tuners=[dict(SHARED, rank=1, alpha=2)])
    lora = vit.tuners.LoRA
    with torch.no_grad():
        lora.down['qkv'][0].weight.fill_(0.5)
        for part, value in zip('qkv', (1.0, -1.0, 3.0), strict=True):
            lora.up[part][0].weight.fill_(value)
    x, y = torch.ones(1, 32), torch.zeros(1, 32)  # A x = 16
    for part, value in zip('qkv', (32.0, -32.0, 96.0), strict=True):
        assert (lora.project(0, part, x, y) == value).all()


def test_temperature_divides_the_scores():
    vit = build(num_prompts=0, tuners=[TEMPERATURE])
    values = torch.tensor([0.5, 0.001, 50.0])
    vit.tuners.AttentionTemperature.temperature.data.copy_(values)

    def change(i, point, x, y):
        if point != 'qkv':
            return y
        query, key, value = y.chunk(3, -1)
        return torch.cat([query, key / (0.5, 0.01, 10.0)[i], value], -1)

    torch.testing.assert_close(
        vit(images())[0], by_hand(vit, change), rtol=0, atol=1e-10
    )
    # One beyond its limit can return.
    grads = gradients(vit(images()), vit)
    assert all(grads['tuners.AttentionTemperature.temperature'] != 0)


def test_temperature_by_hand():
    vit = build(tuners=[TEMPERATURE], perturb=False)
    tuner = vit.tuners.AttentionTemperature
    assert tuner.temperature.tolist() == [1.0] * 3
    tuner.temperature.data[1] = 4.0
    y = torch.tensor([[2.0, -8.0]], dtype=torch.float64)
    assert torch.equal(tuner.project(0, 'q', y, y), y)
    assert tuner.project(1, 'q', y, y).tolist() == [[0.5, -2.0]]


@pytest.mark.parametrize('method', ADAPTERS)
def test_untrained_adapter_changes_little(method):
    vit = build(tuners=[method], perturb=False)
    plain = build(num_prompts=4, perturb=False)
    plain.load_state_dict(vit.state_dict(), strict=False)
    change = vit.eval()(images())[0] - plain(images())[0]
    assert 0 < change.abs().max() < 0.01


def test_adaptformer_is_its_formula():
    vit = build(num_prompts=0, tuners=[dict(type='AdaptFormer', rank=3)])
    tuner = vit.eval().tuners.AdaptFormer

    def change(i, point, x, y):
        if point != 'mlp':
            return y
        down, up = tuner.down[i], tuner.up[i]
        hidden = (x @ down.weight.T + down.bias).clamp(min=0)
        return y + 0.1 * (hidden @ up.weight.T + up.bias)

    torch.testing.assert_close(
        vit(images())[0], by_hand(vit, change), rtol=0, atol=1e-10
    )
    assert not torch.equal(vit.train()(images())[0], vit(images())[0])


@pytest.mark.parametrize('method', ADAPTERS)
def test_adapter_is_its_formula(method):
    vit = build(num_prompts=0, tuners=[method]).eval()
    places = vit.tuners.Adapter.bottlenecks

    def adapt(place, i, z):
        if place not in places:
            return z
        state = dict(places[place][i].named_parameters())
        hidden = z @ state['down.weight'].T + state.get('down.bias', 0)
        hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
        out = hidden @ state['up.weight'].T + state.get('up.bias', 0)
        return z + state.get('scale', 1) * out

    x, *_ = vit.embed(images(), {})
    for i, layer in enumerate(vit.layers):
        x = x + adapt('attention', i, layer.attn(layer.ln1(x)))
        x = x + adapt('mlp', i, layer.ffn.layers(layer.ln2(x)))
        x = adapt('block', i, x)
    torch.testing.assert_close(
        vit(images())[0], vit.ln1(x)[:, 0], rtol=0, atol=1e-10
    )
    differs = not torch.equal(vit.train()(images())[0], vit(images())[0])
    dropped = [not torch.equal(*[vit(images())[0] for _ in range(2)])]
    assert differs == any(dropped) == (method['form'] == 'plus')


def test_adapter_plus_drops_whole_images():
    vit = build(num_prompts=0, tuners=[dict(type='Adapter')])
    bottleneck = vit.train().tuners.Adapter.bottlenecks.block[0]
    x = torch.ones(1000, 2, 32, dtype=torch.float64)
    zero = (bottleneck(x) == 0).flatten(1)
    assert torch.equal(zero.all(1), zero.any(1))
    assert 60 < zero.all(1).sum() < 150  # of 1000 with probability 0.1


def test_snf_is_its_formula():
    vit = build(num_prompts=0, tuners=[SNF])

    def flow(f, x):
        out = torch.empty_like(x)
        for place in ((i, j) for i in range(2) for j in range(17)):
            z = f.mu + f.log_sigma.exp() * x[place]
            for k in range(3):
                z = z + f.u[k] * torch.tanh((f.w[k] * z).sum() + f.b[k])
            out[place] = z
        return out

    with torch.no_grad():
        x, *_ = vit.embed(images(), {})
        for i, layer in enumerate(vit.layers):
            of_attention = vit.tuners.SNF.of_attention[i]
            x = flow(of_attention, x) + layer.attn(layer.ln1(x))
            out = layer.ffn.layers(layer.ln2(x))
            x = flow(vit.tuners.SNF.of_mlp[i], x) + out
    torch.testing.assert_close(
        vit(images())[0], vit.ln1(x)[:, 0], rtol=0, atol=1e-10
    )


def test_psrp_is_its_formula():
    vit = build(num_prompts=0, tuners=[PSRP])
    layers = vit.tuners.PSRP.layers

    def change(i, point, x, y):
        if point != 'mlp':
            return y
        down, scale, shift = (
            layers[i][name].weight for name in ('down', 'scale', 'shift')
        )
        hidden = (x @ down.T).clamp(min=0)
        return y * (hidden @ scale.T + 1) + hidden @ shift.T

    torch.testing.assert_close(
        vit(images())[0], by_hand(vit, change), rtol=0, atol=1e-10
    )


def test_psrp_of_one_channel_by_hand():
    """ReLU(2 * 3) = 6: scale 1 + 6 / 2 = 4, shift 6 / 3 = 2."""
    psrp = build(num_prompts=0, tuners=[dict(PSRP, rank=1)]).tuners.PSRP
    values = dict(down=2 / 32, scale=1 / 2, shift=1 / 3)
    for name, value in values.items():
        torch.nn.init.constant_(psrp.layers[0][name].weight, value)
    x = torch.full((2, 32), 3.0, dtype=torch.float64)
    out = torch.stack([torch.full((32,), 5.0), torch.full((32,), -1.0)])
    expected = 4 * out.double() + 2
    torch.testing.assert_close(psrp.mlp(0, x, out.double()), expected)
    # A negative sum leaves the output as it is.
    assert torch.equal(psrp.mlp(0, -x, out.double()), out.double())


def test_psrp_starts_near_the_identity():
    vit = build(num_prompts=0, perturb=False, tuners=[dict(type='PSRP')])
    weights = torch.cat([w.flatten() for w in vit.tuners.parameters()])
    assert 0.019 < weights.std() < 0.021 and abs(weights.mean()) < 1e-3
    plain = build(num_prompts=0, perturb=False)
    plain.load_state_dict(vit.state_dict(), strict=False)
    change = vit(images())[0] - plain(images())[0]
    assert 0 < change.abs().max() < 0.1
    assert sum(w.numel() for w in vit.tuners.parameters()) == 3 * 3 * 32 * 16


def test_ssf_is_its_formula():
    vit = build(num_prompts=0, tuners=[dict(type='SSF')])
    ssf = vit.tuners.SSF

    def tuned(module, place):
        return lambda x: module(x) * place.scale + place.shift

    x = tuned(lambda x: vit.patch_embed(x)[0], ssf.embedding)(images())
    x = torch.cat([vit.cls_token.expand(2, -1, -1), x], 1) + vit.pos_embed
    for layer, places in zip(vit.layers, ssf.layers, strict=True):
        attn, (fc1, fc2) = (
            layer.attn,
            (
                layer.ffn.layers[0][0],
                layer.ffn.layers[1],
            ),
        )
        hidden = tuned(layer.ln1, places.norm1)(x)
        qkv = [
            (part * places[name].scale + places[name].shift)
            .unflatten(-1, (4, -1))
            .transpose(1, 2)
            for name, part in zip(
                'qkv', attn.qkv(hidden).chunk(3, -1), strict=True
            )
        ]
        scores = qkv[0] @ qkv[1].mT / qkv[0].shape[-1] ** 0.5
        out = (scores.softmax(-1) @ qkv[2]).transpose(1, 2).flatten(2)
        x = x + tuned(attn.proj, places.proj)(out)
        hidden = tuned(fc1, places.fc1)(tuned(layer.ln2, places.norm2)(x))
        x = x + tuned(fc2, places.fc2)(torch.nn.functional.gelu(hidden))
    expected = tuned(vit.ln1, ssf.final)(x)[:, 0]
    torch.testing.assert_close(vit(images())[0], expected, rtol=0, atol=1e-10)


def test_ssf_starts_near_one_and_zero():
    ssf = build(perturb=False, tuners=[dict(type='SSF')]).tuners.SSF
    for name, mean in (('scale', 1), ('shift', 0)):
        values = torch.cat([p for n, p in ssf.named_parameters() if name in n])
        assert abs(values.mean() - mean) < 2e-3
        assert 0.018 < values.std() < 0.022


def test_ssf_has_a_final_place_only_where_it_acts():
    vit = build(tuners=[dict(type='SSF')], out_indices=[1])
    assert vit.tuners.SSF.final is None


def test_bias_option_and_tuner_are_the_same():
    option = build(bias=('v', 'k'))
    # Optimizer states of version 0.1.0 have this order.
    assert list(option.bias_delta.state_dict()) == ['k', 'v']
    tuner = build(tuners=[dict(type='Bias', parts=('k', 'v'))])
    state = {
        name.replace('bias_delta', 'tuners.Bias'): value
        for name, value in option.state_dict().items()
    }
    tuner.load_state_dict(state)
    assert torch.equal(option(images())[0], tuner(images())[0])


class Scale(Tuner):
    """A tuner that a user did not register."""

    def __init__(self, sizes, start=1.0):
        super().__init__(sizes)
        self.scale = nn.Parameter(torch.full((sizes.num_layers,), start))
        self.register_buffer('calls', torch.zeros(()))

    def block(self, layer, x):
        return self.scale[layer] * x


def test_types_and_names():
    tuners = [LORA, dict(LORA, name='more'), dict(type=Scale, start=2.0)]
    vit = build(tuners=tuners, out_indices=[1])
    assert list(vit.tuners) == ['LoRA', 'more', 'Scale']
    assert 'type' in LORA and len(tuners[1]) == 3  # configs stay as they are
    sizes = vit.tuners.Scale.sizes
    assert (sizes.embed_dims, sizes.num_layers) == (32, 2)
    assert (sizes.num_heads, sizes.patch_size) == (4, (8, 8))
    assert sizes.parts == {
        **dict.fromkeys(['q', 'k', 'v', 'proj'], (32, 32)),
        'fc1': (32, 48),
        'fc2': (48, 32),
    }
    trained = {n for n, p in vit.named_parameters() if p.requires_grad}
    tuned = {n for n, _ in vit.named_parameters() if n.startswith('tuners.')}
    assert tuned <= trained and len(tuned) == 2 * 8 + 1


@pytest.mark.parametrize(
    'tuners, message',
    [
        ([LORA, LORA], "two tuners are called 'LoRA'; tell them apart"),
        ([dict(type='LoRa')], "got 'LoRa'; did you mean 'LoRA'"),
        (
            [dict(type=nn.Linear)],
            'should list configs .* types out of',
        ),
        ([dict(rank=2)], "got {'rank': 2}"),
        (['LoRA'], "list configs as dict.type=.* but got 'LoRA'"),
        ([dict(LORA, targets=('x',))], '`targets` should list parts'),
        ([dict(LORA, targets='qv')], '`targets` should list parts'),
        ([dict(SNF, num_flows=-1)], '`num_flows` should be 0 or more'),
        ([dict(type='Adapter', form='x')], '`form` should be one of'),
        ([dict(LORA, rank=0)], '`rank` of LoRA .* at least 1, but got 0'),
        ([dict(type='PSRP', rank=-1)], '`rank` of PSRP .* at least 1'),
        (
            [dict(type='MoSA', consistency_weight=float('nan'))],
            '`consistency_weight` of MoSA .* at least 0, but got nan',
        ),
        ([dict(LORA, share_a=True, targets=('q',))], 'two or more of'),
        ([dict(LORA, share_a=True, targets=('q', 'fc1'))], 'the same input'),
        ([dict(type='Bias', parts=('v', 'v'))], 'each once'),
    ],
)
def test_configs_of_tuners_that_are_wrong(tuners, message):
    with pytest.raises(ValueError, match=message):
        build(tuners=tuners)


def test_tuners_are_registered():
    assert {'Bias', 'LoRA', 'AdaptFormer', 'Adapter', 'SSF', 'MoSA'} <= {
        *TUNERS.module_dict
    }
