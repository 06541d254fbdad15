"""Methods of other libraries, next to ours, on a tiny ViT."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.models import VisionTransformer
from PIL import Image
from safetensors.torch import save_file
from timm.models import vision_transformer

from benchmarks import peers
from benchmarks.speed import accuracy, cases, counting
from benchmarks.speed.accuracy import Curve
from benchmarks.speed.measuring import Row
from benchmarks.speed.peers import (
    Setting,
    our_methods,
    peer_methods,
    shared_name,
    timm_vit,
)
from mmdavpt.errors import UsageError
from mmdavpt.models.prompt_init import init_prompts
from mmdavpt.registry import TUNERS

ROOT = Path(__file__).parents[2]
DIMS, LAYERS, HIDDEN, CLASSES, PROMPTS, BATCH = 32, 3, 64, 7, 4, 2
#: A grid of 4 x 4 patches, and [CLS].
TOKENS = 17
HEAD = DIMS * CLASSES + CLASSES
TOY = Setting('vit-toy', PROMPTS, BATCH, 32, CLASSES, patch=8)
METHODS = {m.name: m for m in [*our_methods()[0], *peer_methods()]}


@pytest.fixture(autouse=True)
def toy_architecture(monkeypatch):
    sizes = dict(embed_dims=DIMS, num_layers=LAYERS, num_heads=4)
    arch = dict(sizes, feedforward_channels=HIDDEN)
    monkeypatch.setitem(VisionTransformer.arch_zoo, 'toy', arch)


def counted(name):
    try:
        METHODS[name].check()
    except UsageError as error:
        pytest.skip(str(error))
    return peers.count(METHODS[name], TOY)


def test_every_method_is_a_row(monkeypatch):
    other = type('Other', (), {})  # of another package
    monkeypatch.setitem(TUNERS.module_dict, 'Other', other)
    ours, left_out = our_methods()
    names = [method.name for method in ours]
    # LoRA and AdaptFormer are lora and adaptformer.
    expected = (
        'davpt davpt-plus vpt linear mp mp-plus full bias lora adaptformer '
        'E2VPT Adapter AttentionTemperature Bias MoSA PSRP SNF SPT SSF'
    )
    assert names == expected.split()
    assert left_out == {'Peft': 'it needs config'}
    assert len(METHODS) == len(names) + len(peer_methods())
    with pytest.raises(UsageError, match='selection made for'):
        counted('SPT')


def forward_flops(tokens=TOKENS, last=None):
    """Return the operations of a ViT per image, without its head.

    Args:
        tokens (int): Of a layer.
        last (int): Tokens of the last layer that have a query.
    """
    found = 2 * 16 * DIMS * 3 * 8 * 8  # patches
    for layer in range(LAYERS):
        used = last if last and layer == LAYERS - 1 else tokens
        found += 2 * DIMS * (2 * tokens + 2 * used) * DIMS  # k, v, q, proj
        found += 2 * used * DIMS * tokens * 2  # attention
        found += 2 * used * DIMS * HIDDEN * 2  # MLP
    return found


@pytest.mark.parametrize('name', ['linear', 'timm, linear'])
def test_a_linear_head_by_hand(name):
    found = counted(name)
    head = 2 * DIMS * CLASSES
    assert found.parameters == HEAD
    assert found.inference.flops == BATCH * (forward_flops() + head)
    # The gradient of the weight; features need none.
    assert found.training.flops == BATCH * (forward_flops() + 2 * head)
    # [CLS] is a view of all tokens; the rest are log-probabilities.
    assert 0 <= found.training.kept - BATCH * TOKENS * DIMS * 4 < 100


@pytest.mark.parametrize(
    'name, parameters',
    [
        ('lora', LAYERS * 2 * 8 * (DIMS + DIMS)),
        ('peft, LoRA', LAYERS * 8 * (DIMS + 3 * DIMS)),
        ('peft, DoRA', LAYERS * (8 * (DIMS + 3 * DIMS) + 3 * DIMS)),
        ('peft, IA3', LAYERS * (3 * DIMS + HIDDEN)),
        ('peft, LN tuning', (2 * LAYERS + 1) * 2 * DIMS),
        ('adapter_plus, LoRA', LAYERS * 2 * 8 * (DIMS + DIMS)),
        ('adapter_plus, Adapter+', LAYERS * (2 * 8 * DIMS + 8 + 2 * DIMS)),
        ('Adapter', LAYERS * (2 * 8 * DIMS + 8 + 2 * DIMS)),
        ('adapter_plus, VPT', LAYERS * PROMPTS * DIMS),
        ('VPT as published', LAYERS * PROMPTS * DIMS),
        ('vpt', LAYERS * PROMPTS * DIMS),
    ],
)
def test_parameters_by_hand(name, parameters):
    assert counted(name).parameters == parameters + HEAD


def test_lora_of_peft_by_hand():
    found = counted('peft, LoRA')
    product = 2 * TOKENS * 8 * (DIMS + 3 * DIMS) * LAYERS
    plain = forward_flops() + 2 * DIMS * CLASSES
    assert found.unfolded == BATCH * (plain + product)
    assert found.inference.flops == BATCH * plain
    assert found.training.kept > counted('lora').training.kept


@pytest.mark.parametrize('name', ['VPT as published', 'adapter_plus, VPT'])
def test_published_prompts_by_hand(name):
    """Prompts are tokens of each layer."""
    flops = forward_flops(TOKENS + PROMPTS) + 2 * DIMS * CLASSES
    assert counted(name).inference.flops == BATCH * flops


def test_published_prompts_give_our_outputs():
    models = {n: METHODS[n].build(TOY) for n in ('vpt', 'VPT as published')}
    cases.share_weights(models)
    peers.check_published(models, TOY, 'cpu')
    with torch.no_grad():
        prompts = models['vpt'].backbone.prompts['1']
        prompts.mul_(torch.rand_like(prompts))
    with pytest.raises(UsageError, match='should give the same outputs'):
        peers.check_published(models, TOY, 'cpu')


@pytest.mark.parametrize(
    'name', ['lora', 'davpt', 'timm, bias', 'peft, LoRA', 'adapter_plus, VPT']
)
def test_counts_are_those_of_real_passes(name):
    found = counted(name)
    model = METHODS[name].build(TOY)
    step = cases.training_step(model.train(), TOY, 'cpu')
    real = counting.count_training(*step)
    assert real['flops'] == found.training.flops
    assert real['kept'] == found.training.kept
    used = peers.fold(METHODS[name], model.eval()).requires_grad_(False)
    run = cases.inference_step(used, TOY, 'cpu')
    # Evaluation projects prompts once; a count, in each batch.
    prompts = LAYERS * PROMPTS if name == 'davpt' else 0
    projected = 2 * prompts * DIMS * 2 * DIMS
    flops = counting.count_inference(run)['flops']
    assert flops + projected == found.inference.flops


def test_frozen_weights_are_shared():
    names = ['timm, full', 'timm, linear', 'peft, LoRA']
    pytest.importorskip('peft')
    models = {name: METHODS[name].build(TOY) for name in names}
    cases.share_weights(models, shared_name)
    name = 'vit.blocks.1.attn.qkv.weight'
    full, linear, lora = (
        {shared_name(n): p for n, p in model.named_parameters()}[name]
        for model in models.values()
    )
    assert lora.data_ptr() == linear.data_ptr() != full.data_ptr()
    assert torch.equal(full, linear)


def test_timm_stays_as_it_is():
    if find_spec('adapter_plus') is None:
        pytest.skip('adapter_plus is not installed')
    METHODS['adapter_plus, VPT'].check()
    METHODS['adapter_plus, VPT'].build(TOY)
    create = vision_transformer._create_vision_transformer
    assert create.__module__ == 'timm.models.vision_transformer'


@pytest.fixture
def weights(tmp_path):
    """Return a file of random weights with the names of timm."""
    state = timm_vit(TOY).state_dict()
    torch.manual_seed(0)
    state = {n: torch.randn_like(v) / 4 for n, v in state.items()}
    path = tmp_path / 'weights' / 'model.safetensors'
    path.parent.mkdir()
    path.with_name('config.json').write_text(
        json.dumps(
            dict(
                architecture='vit_base_patch16_224',
                num_classes=0,
                model_args=dict(
                    embed_dim=DIMS,
                    depth=LAYERS,
                    num_heads=4,
                    mlp_ratio=HIDDEN / DIMS,
                    patch_size=8,
                    img_size=32,
                ),
                pretrained_cfg=dict(mean=[0.5] * 3, std=[0.5] * 3),
            )
        )
    )
    frozen = {n: v for n, v in state.items() if 'head' not in n}
    save_file(frozen, path)
    return str(path)


def test_all_start_from_the_same_weights(weights):
    setting = Setting('', PROMPTS, BATCH, 32, CLASSES, weights=weights)
    ours = METHODS['linear'].build(setting).eval()
    theirs = METHODS['timm, linear'].build(setting).eval()
    head = theirs.vit.head
    head.load_state_dict(ours.head.fc.state_dict())
    x = torch.randn(2, 3, 32, 32)
    found = ours(x, mode='tensor'), theirs(x, mode='tensor')
    torch.testing.assert_close(*found)
    assert found[0].std() > 1e-3


def test_time_to_an_accuracy():
    curve = Curve('x', 0.1, 5, [1.0, 2.0, 4.0], [0.2, 0.6, 0.5])
    assert [curve.time_to(x) for x in (0.2, 0.3, 0.6, 0.7)] == [1, 2, 2, None]
    line = peers.curves_to_markdown([curve], [0.5, 0.7]).splitlines()[-1]
    assert line == '| x | 5 | 1.0e-01 | 2.0 | never | 4.0 | 60.0% | 50.0% |'


def test_accuracy(weights, tmp_path, capsys, monkeypatch):
    started = []

    def start(model, *args, **kwargs):
        started.append(model)
        init_prompts(model, *args, **kwargs)

    monkeypatch.setattr(accuracy, 'init_prompts', start)
    for part, number in (('train', 4), ('val', 2)):
        for i, name in enumerate(['blue', 'green', 'red']):
            folder = tmp_path / 'data' / part / name
            folder.mkdir(parents=True)
            pixels = np.zeros((40, 40, 3), np.uint8)
            pixels[..., 2 - i] = 255
            for k in range(number):
                Image.fromarray(pixels).save(folder / f'{k}.png')
    out = tmp_path / 'curves.json'
    peers.main(
        ['--accuracy', str(tmp_path / 'data'), '--weights', weights]
        + ['--rows', 'linear', 'timm, linear', 'davpt', '--epochs', '6']
        + ['--size', '32', '--batch', '4', '--prompts', '3', '--device', 'cpu']
        + ['--lr', 'linear=0.5', 'davpt=0.02', '--out', str(out)]
    )
    content = json.loads(out.read_text())
    rows = {row['name']: row for row in content['rows']}
    assert [*rows] == ['davpt', 'linear', 'timm, linear']
    rates = [row['lr'] for row in rows.values()]
    assert rates == [0.02, 0.5, 0.5]
    for row in rows.values():
        assert len(row['seconds']) == len(row['accuracy']) == 6
        assert row['seconds'] == sorted(row['seconds']) and row['seconds'][0]
    # A pass over images is for prompts only, and costs time.
    assert [len(model.backbone.prompts) for model in started] == [LAYERS]
    # Colors are easy for a linear head on any features.
    assert rows['linear']['accuracy'][-1] == 1
    assert rows['timm, linear']['accuracy'][-1] == 1
    assert capsys.readouterr().out.count('| timm, linear | 99 |') == 6


def test_peers(tmp_path, capsys):
    out = tmp_path / 'figures.json'
    peers.main(
        ['--model', 'vit-toy', '--size', '32', '--rounds', '2', '--batch', '1']
        + ['--rows', '*pt', 'VPT*', 'timm, linear', 'lora', 'SPT']
        + ['--warmup', '0', '--out', str(out), '--device', 'cpu']
    )
    text = capsys.readouterr().out
    assert 'left out: SPT: SPT trains with a selection' in text
    content = json.loads(out.read_text())
    assert text.count('| vpt / VPT as published |') == 1
    names = [row['name'] for row in content['rows']]
    assert names == [
        'davpt',
        'vpt',
        'lora',
        'timm, linear',
        'VPT as published',
    ]
    for row in content['rows']:
        assert len(row['training']['seconds']) == 2
        assert len(row['inference']['seconds']) == 2
    vpt = next(x for x in text.splitlines() if x.startswith('| vpt |'))
    assert vpt.endswith('| 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] |')
    assert content['versions'].keys() == {'mmdavpt', 'mmpretrain', 'timm'}


def test_documented_costs():
    content = json.loads((ROOT / 'benchmarks/results/peers.json').read_text())
    documented = []
    for row in content['rows']:
        for phase in ('training', 'inference'):
            case = Setting(**row[phase].pop('case'))
            row[phase] = Row(case, **row[phase])
        documented.append(peers.Costs(**row))
    text = (ROOT / 'docs/performance.md').read_text()
    assert peers.to_markdown(documented) in text
    table = peers.pairs_to_markdown(documented)
    assert table in text and len(table.splitlines()) == 2 + len(peers.PAIRS)
    names = [costs.name for costs in documented]
    assert {*names} == METHODS.keys() - {'SPT'}
    expected = documented[names.index('Adapter')]
    found = peers.count(METHODS['Adapter'], expected.training.case)
    assert found.parameters == expected.parameters
    for phase in ('training', 'inference'):
        old, new = getattr(expected, phase), getattr(found, phase)
        assert (new.flops, new.kept) == (old.flops, old.kept)


def test_documented_accuracy():
    path = ROOT / 'benchmarks' / 'results' / 'peers_accuracy.json'
    curves = [Curve(**row) for row in json.loads(path.read_text())['rows']]
    table = peers.curves_to_markdown(curves, [0.5, 0.6, 0.7])
    assert table in (ROOT / 'docs/performance.md').read_text()


@pytest.mark.parametrize(
    'argv, message',
    [
        ('--rows lorra', 'no row that can run here is called lorra'),
        ('--accuracy x --lr lora', '--lr should be ROW=RATE'),
    ],
)
def test_mistakes_end_in_one_line(argv, message, capsys):
    with pytest.raises(SystemExit):
        peers.main(argv.split())
    assert message in capsys.readouterr().err
