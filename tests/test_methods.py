"""Every tuning method: its size, and short runs of both tasks.

The formulas of tuners, connections and metrics have tests next to their
modules. Here each method, as a user writes it, trains, saves only what it
trains, resumes, and exports; and what it should not train stays.
"""

import math
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope

from mmdavpt.config_source import RECOMMENDED, replace_variables
from mmdavpt.models import DAVPTVisionTransformer
from mmdavpt.models.export import fold_tuners
from mmdavpt.registry import MODELS

from . import toy

TABLE = Path(__file__).parents[1] / 'docs' / 'tuners.md'
HEADS = ('*head.*',)
PROMPTS = ('backbone.prompts.*',)


class Method(NamedTuple):
    """A tuning method.

    Attributes:
        backbone (dict): Arguments of the backbone of ViT-B.
        count (int): Its trainable parameters, without the head.
        moves (tuple): Patterns of the parameters that train, apart from heads.
        metric (str | None): The metric of guidance; None for no guidance.
        toy (dict): Arguments for the two layers of the toy, where others.
        folds (bool): Whether the method folds into the frozen weights.
        hooks (tuple): Hooks before that of the mapping.
    """

    backbone: dict
    count: int
    moves: tuple = PROMPTS
    metric: str | None = None
    toy: dict = {}
    folds: bool = False
    hooks: tuple = ()


def tuned_by(kind, count, folds=False, **options):
    """Return the method of one tuner without prompts."""
    tuners = [dict(type=kind, **options)]
    return Method(
        dict(num_prompts=0, tuners=tuners),
        count,
        (f'backbone.tuners.{kind}.*',),
        folds=folds,
    )


BIAS_DELTA = (*PROMPTS, 'backbone.bias_delta.*')
SELF_SPT = dict(type='mmdavpt.PromptInitHook', method='mean')
DEEP = dict(num_prompts=20)
METHODS = {
    'Full tuning': Method(
        dict(num_prompts=0, trainable=('*',)), 85_798_656, ('backbone.*',)
    ),
    'Linear probing': Method(dict(num_prompts=0), 0, ()),
    'BitFit (Bias)': Method(
        dict(num_prompts=0, trainable=('*.bias',)),
        102_912,
        ('backbone.*.bias',),
    ),
    'VPT-Shallow': Method(
        dict(num_prompts=(100, *[0] * 11), propagate=True),
        76_800,
        toy=dict(num_prompts=(3, 0)),
    ),
    'VPT-Deep': Method(DEEP, 184_320),
    'Self-SPT': Method(DEEP, 184_320, hooks=(SELF_SPT,)),
    'Self-SPT, shallow': Method(
        dict(num_prompts=(100, *[0] * 11), propagate=True),
        76_800,
        toy=dict(num_prompts=(3, 0)),
        hooks=(dict(SELF_SPT, method='kmeans'),),
    ),
    'DA-VPT+Conn': Method(
        dict(DEEP, propagate='sum'), 184_320, metric='ProxyAnchor'
    ),
    'DA-VPT+Gate': Method(
        dict(DEEP, propagate='gate'),
        184_320 + 11,
        (*PROMPTS, 'backbone.gate_logits'),
        metric='ProxyAnchor',
    ),
    'DA-VPT': Method(DEEP, 184_320, metric='ProxyAnchor'),
    'DA-VPT+': Method(
        dict(DEEP, bias=('k', 'v')),
        184_320 + 18_432,
        BIAS_DELTA,
        metric='ProxyAnchor',
        folds=True,
    ),
    'Proxy-NCA': Method(DEEP, 184_320, metric='ProxyNCA'),
    'Triplet': Method(DEEP, 184_320, metric='Triplet'),
    'LoRA': tuned_by('LoRA', 294_912, folds=True),
    'LoRA of fused qkv': tuned_by(
        'LoRA', 294_912, folds=True, targets=('q', 'k', 'v'), share_a=True
    ),
    'Adapter (Houlsby)': tuned_by('Adapter', 294_912, form='houlsby'),
    'Adapter (Pfeiffer)': tuned_by('Adapter', 156_768, form='pfeiffer'),
    'Adapter+': tuned_by('Adapter', 165_984),
    'AdaptFormer': tuned_by('AdaptFormer', 1_189_632),
    'MoSA': tuned_by('MoSA', 1_208_064),
    'DA-VPT with MoSA': Method(
        dict(DEEP, tuners=[dict(type='MoSA')]),
        184_320 + 1_208_064,
        (*PROMPTS, 'backbone.tuners.MoSA.*'),
        metric='ProxyAnchor',
    ),
    'GateVPT': Method(
        dict(
            num_prompts=(100, *[0] * 11),
            propagate='gate',
            tuners=[dict(type='AttentionTemperature')],
        ),
        76_800 + 11 + 12,
        (
            *PROMPTS,
            'backbone.gate_logits',
            'backbone.tuners.AttentionTemperature.*',
        ),
        toy=dict(num_prompts=(3, 0)),
        folds=True,
    ),
    'SSF': tuned_by('SSF', 205_824, folds=True),
    'SNF': tuned_by('SNF', 110_640),
    'PSRP': tuned_by('PSRP', 442_368),
    'E2VPT': Method(
        dict(num_prompts=5, tuners=[dict(type='E2VPT')]),
        92_160,
        (*PROMPTS, 'backbone.tuners.E2VPT.*'),
    ),
    'DA-VPT with LoRA': Method(
        dict(DEEP, tuners=[dict(type='LoRA')]),
        184_320 + 294_912,
        (*PROMPTS, 'backbone.tuners.LoRA.*'),
        metric='ProxyAnchor',
        folds=True,
    ),
}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def test_parameter_counts_of_vit_b(method):
    with torch.device('meta'):
        vit = DAVPTVisionTransformer(arch='b', **method.backbone)
    counted = sum(p.numel() for p in vit.parameters() if p.requires_grad)
    assert counted == method.count


#: Rows of the documented table with their own tests: of the selection, of
#: the head (test_moment_probing.py, test_configs.py) and of peft.
ELSEWHERE = {'SPT-LoRA, SPT-Adapter', 'MP', 'MP+', '28 methods of peft'}


def documented_methods():
    """Return the cells of each row of the table of all methods, by name."""
    text = TABLE.read_text(encoding='utf-8').split('## Methods', 1)[1]
    lines = text.split('\n\n', 2)[1].splitlines()[2:]
    rows = [[cell.strip() for cell in line.split('|')] for line in lines]
    return {name: cells for _, name, *cells, _ in rows}


def test_the_documented_table_lists_every_method():
    rows = documented_methods()
    combined = {name for name in METHODS if name.startswith('DA-VPT with')}
    assert rows.keys() - ELSEWHERE == METHODS.keys() - combined
    for name in rows.keys() - ELSEWHERE:
        _, keys, count, folds, _ = rows[name]
        method = METHODS[name]
        spans = re.findall('`(.+?)`', keys)
        assert eval(f'dict({spans[0]})') == method.backbone, name
        hooks = [eval(s) for s in spans[1:] if s.startswith('dict(')]
        assert hooks == [*method.hooks], name
        assert spans[1 + len(hooks) :] == [method.metric] * bool(method.metric)
        assert count == f'{method.count:,}', name
        assert bool(folds) == method.folds, name


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
def test_the_documented_names_select_these_methods(task):
    for name, (flag, *_) in documented_methods().items():
        if not flag or (name in ELSEWHERE and task == 'segmentation'):
            continue
        source = RECOMMENDED / f'{task}.py'
        method = flag.strip('`')
        text = replace_variables(
            source.read_text('utf-8'), dict(method=method)
        )
        model = Config.fromstring(text, '.py').model
        expected = METHODS[name].backbone if name in METHODS else {}
        assert expected.items() <= model.backbone.to_dict().items(), name
        guided = name in METHODS and METHODS[name].metric is not None
        assert (model.guidance is not None) == guided, name


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """Return a file with weights of the toy's ViT."""
    init_default_scope('mmpretrain')
    torch.manual_seed(1)
    vit = MODELS.build(dict(toy.backbone(), num_prompts=0))
    path = tmp_path_factory.mktemp('weights') / 'vit.pth'
    torch.save(vit.state_dict(), path)
    return str(path)


def run_config(task, method, pretrained, work_dir):
    """Return the toy config of a task that trains with a method."""
    weights = dict(type='Pretrained', checkpoint=pretrained)
    backbone = {**method.backbone, **method.toy, 'init_cfg': weights}
    prompts = backbone.pop('num_prompts')
    if isinstance(prompts, int):
        prompts = min(prompts, 3)
    changes = {
        f'model.backbone.{key}': value
        for key, value in dict(backbone, num_prompts=prompts).items()
    }
    changes['default_hooks.checkpoint.tuned_only'] = True
    if method.metric is None:
        changes.update({'model.guidance': None, 'custom_hooks': []})
    else:
        metric = dict(type=method.metric)
        changes['model.guidance.loss.metric'] = metric
    cfg = getattr(toy, task)(work_dir, changes)
    cfg['custom_hooks'] = [*method.hooks, *cfg['custom_hooks']]
    return Config(dict(cfg, runner_type='mmdavpt.DAVPTRunner'))


def train(cfg):
    runner = RUNNERS.build(cfg)
    runner.train()
    return runner.model


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
def test_method_trains_saves_and_resumes(method, task, pretrained, tmp_path):
    cfg = run_config(task, method, pretrained, tmp_path / 'whole')
    model = train(cfg)
    whole = {k: v.clone() for k, v in model.state_dict().items()}
    names = ('epoch_1', 'epoch_2')
    if task == 'segmentation':
        names = ('iter_2', 'iter_4')
    first, last = (str(tmp_path / 'whole' / f'{name}.pth') for name in names)

    early = torch.load(first, weights_only=False)['state_dict']
    for name, parameter in model.named_parameters():
        trains = any(fnmatchcase(name, p) for p in (*method.moves, *HEADS))
        assert parameter.requires_grad == trains, name
        assert (name in early) == trains, name
        # Without guidance, one constant on all keys changes nothing.
        if trains and not name.endswith(('.k', 'k_proj.bias')):
            assert not torch.equal(early[name], whole[name]), name

    again = run_config(task, method, pretrained, tmp_path / 'resumed')
    again.update(resume=True, load_from=first)
    resumed = train(again).state_dict()
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)

    images = torch.randn(3, 3, 32, 32)
    model.eval()
    dynamic = {0: torch.export.Dim('batch')}
    exported = torch.export.export(
        model, (images[:2],), dynamic_shapes=(dynamic,)
    )
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(exported.module()(images), expected)
    if method.folds:
        assert_folds(cfg, model, images, expected)
    assert math.isfinite(float(expected[0].abs().max()))


def assert_folds(cfg, model, images, expected):
    """Check that the folded model computes the same without tuners."""
    plain = cfg.model.copy()
    plain.backbone.update(tuners=(), bias=())
    folded = MODELS.build(plain).eval()
    folded.load_state_dict(fold_tuners(model))
    with torch.no_grad():
        torch.testing.assert_close(
            folded(images), expected, rtol=1e-4, atol=1e-5
        )
