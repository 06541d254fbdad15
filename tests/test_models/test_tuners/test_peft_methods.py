"""Whole runs with Peft: guided, tuned-only, resumed, folded.

With a stand-in for the package peft, and with all methods of peft itself
where it is installed (see docs/tuners.md).
"""

import importlib.util

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.models.export import fold_tuners
from mmdavpt.registry import MODELS

from ... import toy
from . import fake_peft

LINEAR = dict(
    mmpretrain=['attn.qkv', 'attn.proj', 'ffn.layers.1'],
    timm=['attn.qkv', 'attn.proj', 'mlp.fc2'],
)
NORMS = dict(mmpretrain=['ln1', 'ln2'], timm=['norm1', 'norm2'])
#: Names to configs. Those that differ from the pre-trained model at the
#: start are in :data:`SHIFTED`, and those with copies of weights in `COPIES`.
METHODS = dict(
    LoRA=dict(peft_type='LORA'),
    DoRA=dict(peft_type='LORA', use_dora=True),
    rsLoRA=dict(peft_type='LORA', use_rslora=True),
    PiSSA=dict(peft_type='LORA', init_lora_weights='pissa'),
    OLoRA=dict(peft_type='LORA', init_lora_weights='olora'),
    AdaLoRA=dict(peft_type='ADALORA', init_r=4, target_r=4, total_step=9),
    IA3=dict(peft_type='IA3', feedforward_modules=[]),
    OFT=dict(peft_type='OFT', r=0, oft_block_size=8),
    BOFT=dict(peft_type='BOFT', boft_block_size=8),
    HRA=dict(peft_type='HRA', r=4),
    LN_tuning=dict(peft_type='LN_TUNING'),
    MiSS=dict(peft_type='MISS', r=4),
    FourierFT=dict(peft_type='FOURIERFT', n_frequency=50),
    LoHa=dict(peft_type='LOHA', r=4),
    LoKr=dict(peft_type='LOKR', r=4),
    RandLoRA=dict(peft_type='RANDLORA', r=4),
    RoAd=dict(peft_type='ROAD', group_size=16),
    DeLoRA=dict(peft_type='DELORA', r=4),
    BEFT=dict(peft_type='BEFT'),
    OSF=dict(peft_type='OSF'),
    PSOFT=dict(peft_type='PSOFT', r=4),
    HiRA=dict(peft_type='HIRA', r=4),
    SHiRA=dict(peft_type='SHIRA', r=2),
    C3A=dict(peft_type='C3A', block_size=8),
    GraLoRA=dict(peft_type='GRALORA'),
    WaveFT=dict(peft_type='WAVEFT', n_frequency=50),
    PEANuT=dict(peft_type='PEANUT'),
    DEFT=dict(peft_type='DEFT'),
)
SHIFTED = ('FourierFT', 'C3A')
REFUSED = ('VERA', 'VBLORA', 'PROMPT_TUNING', 'PREFIX_TUNING', 'POLY')
TASKS = dict(
    classification=(toy.classification, 'epoch', 1),
    segmentation=(toy.segmentation, 'iter', 2),
)
installed = pytest.mark.skipif(
    importlib.util.find_spec('peft') is None,
    reason="needs `pip install 'mmdavpt[peft]'`",
)


def backbone_of(kind, method, **kwargs):
    """Return the config of a tiny backbone with a method."""
    targets = NORMS if method == 'LN_tuning' else LINEAR
    config = dict(METHODS[method], target_modules=targets[kind])
    tuners = [dict(type='Peft', config=config)]
    if kind == 'mmpretrain':
        return dict(toy.backbone(tuners=tuners), **kwargs)
    return dict(
        type='mmdavpt.DAVPTTimmViT',
        model_name='vit_tiny_patch16_224',
        patch_size=8,
        img_size=32,
        embed_dim=32,
        depth=2,
        num_heads=4,
        num_prompts=3,
        tuners=tuners,
        **kwargs,
    )


def weights_for(backbone, path):
    """Write pre-trained weights; return the plain backbone's config."""
    plain = {**backbone, 'tuners': []}
    torch.manual_seed(0)
    state = {
        name.removeprefix('vit.'): torch.randn_like(value) * 0.1
        for name, value in MODELS.build(plain).state_dict().items()
        if not name.startswith('prompts.')
    }
    torch.save(state, path)
    backbone['init_cfg'] = dict(type='Pretrained', checkpoint=str(path))
    return plain


def run_of(tmp_path, folder, task, kind, method):
    """Return the config of a run that saves tuned-only checkpoints."""
    cfg = TASKS[task][0](
        tmp_path / folder, {'default_hooks.checkpoint.tuned_only': True}
    )
    given = cfg['model']['backbone']
    backbone = backbone_of(
        kind,
        method,
        **{
            key: given[key]
            for key in ('out_type', 'out_indices', 'final_norm')
            if key in given
        },
    )
    weights_for(backbone, tmp_path / 'vit.pth')
    cfg['model']['backbone'] = backbone
    return Config({**cfg, 'runner_type': 'mmdavpt.DAVPTRunner'})


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def assert_a_run_is_exact(tmp_path, task, kind, method):
    def build(folder, **changes):
        cfg = run_of(tmp_path, folder, task, kind, method)
        cfg.merge_from_dict(changes)
        return cfg

    torch.manual_seed(0)
    whole = RUNNERS.build(build('whole'))
    whole.train()
    model = whole.model
    assert model.guidance is not None
    tuner = model.backbone.tuners.Peft
    start = MODELS.build(build('start').model)
    start.init_weights()
    unmoved = [
        name
        for name, value in start.backbone.tuners.Peft.named_parameters()
        if torch.equal(value, tuner.get_parameter(name))
    ]
    assert not unmoved
    _, unit, half = TASKS[task]
    middle, last = (
        str(tmp_path / 'whole' / f'{unit}_{count}.pth')
        for count in (half, 2 * half)
    )
    expected = state(model)
    resumed = RUNNERS.build(build('resumed', resume=True, load_from=middle))
    resumed.train()
    for key, value in state(resumed.model).items():
        assert torch.equal(value, expected[key]), key

    saved = read_run_checkpoint(last)['state_dict']
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen.isdisjoint(saved)
    assert not any('tuners' in name for name in frozen)
    torch.manual_seed(9)
    fresh = MODELS.build(build('fresh').model)
    fresh.load_state_dict(saved)
    for key, value in fresh.state_dict().items():
        assert torch.equal(value, expected[key]), key
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(
        fresh.eval().backbone(x)[0], model.eval().backbone(x)[0]
    )
    return model


def assert_it_starts_and_folds(tmp_path, kind, method):
    backbone = backbone_of(kind, method)
    plain = MODELS.build(weights_for(backbone, tmp_path / 'vit.pth'))
    vit = MODELS.build(backbone)
    vit.init_weights()
    plain.load_state_dict(vit.state_dict(), strict=False)
    x = torch.randn(2, 3, 32, 32)
    change = (vit(x)[0] - plain(x)[0]).abs().max()
    assert (change > 1e-4) == (method in SHIFTED)
    grads = torch.autograd.grad(
        vit(x)[0].square().sum(),
        [p for p in vit.parameters() if p.requires_grad],
    )
    assert all(grad.isfinite().all() for grad in grads)
    for parameter in vit.tuners.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    out = vit.eval()(x)[0]
    folded = MODELS.build({**backbone, 'tuners': []}).eval()
    folded.load_state_dict(fold_tuners(vit))
    torch.testing.assert_close(folded(x)[0], out, rtol=1e-4, atol=1e-5)
    assert (out - plain.eval()(x)[0]).abs().max() > 1e-4
    assert torch.equal(
        vit.unprompted_tokens(x).cls, plain.unprompted_tokens(x).cls
    )


@pytest.mark.parametrize('task', TASKS)
def test_runs_with_a_stand_in(tmp_path, monkeypatch, task):
    fake_peft.install(monkeypatch)
    writes = task == 'segmentation'
    monkeypatch.setitem(METHODS, 'LoRA', dict(peft_type='LORA', writes=writes))
    assert_a_run_is_exact(tmp_path, task, 'mmpretrain', 'LoRA')


@installed
@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('method', METHODS)
def test_runs(tmp_path, task, method):
    kind = 'timm' if task == 'segmentation' else 'mmpretrain'
    assert_a_run_is_exact(tmp_path, task, kind, method)


@installed
@pytest.mark.parametrize('kind', LINEAR)
@pytest.mark.parametrize('method', METHODS)
def test_start_gradients_and_fold(tmp_path, kind, method):
    assert_it_starts_and_folds(tmp_path, kind, method)


@installed
@pytest.mark.parametrize('kind', REFUSED)
def test_refused_methods(kind):
    config = dict(peft_type=kind)
    if kind in ('VERA', 'VBLORA', 'POLY'):
        config['target_modules'] = ['attn.qkv']
    else:
        config['num_virtual_tokens'] = 2
    backbone = toy.backbone(tuners=[dict(type='Peft', config=config)])
    with pytest.raises(ValueError, match=f'Peft cannot use {kind}: it'):
        MODELS.build(backbone)
