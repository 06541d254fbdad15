"""The paper's classification configs: from the tables, and what they say."""

import csv
import importlib
import re
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'configs'
GROUPS = dict(natural=7, specialized=4, structured=8)
MEANS_OF_19 = {'in21k': 73.65, 'mae': 66.96, 'moco-v3': 70.99}
WEIGHTS = {'sup': 'in21k', 'mae': 'mae', 'moco': 'moco-v3'}


@pytest.fixture(scope='module')
def tool():
    folder = str(ROOT / 'tools' / 'experiment_configs')
    sys.path.insert(0, folder)
    yield importlib.import_module('write_experiment_configs')
    sys.path.remove(folder)


def rows(name):
    with open(CONFIGS / name, encoding='utf-8') as file:
        return list(csv.DictReader(file))


def path_of(suite, weights, method, task):
    kind = 'vtab-' if suite == 'vtab' else ''
    return (
        CONFIGS / suite / weights / f'{method}_vit-b-{weights}_{kind}{task}.py'
    )


def leaf(suite, weights, method, task):
    return Config.fromfile(path_of(suite, weights, method, task))


def test_the_committed_files_are_what_the_tool_writes(tool):
    files = tool.all_files()
    assert len(files) == 114 + 30 + 19 + 5 + 2
    for path, text in files.items():
        assert (CONFIGS / path).read_text(encoding='utf-8') == text, path
    written = {p for p in files if p.startswith(('vtab/', 'fgvc/'))}
    on_disk = {
        p.relative_to(CONFIGS).as_posix()
        for suite in ('vtab', 'fgvc')
        for p in (CONFIGS / suite).rglob('*.*')
    }
    assert written == on_disk


def test_check_names_what_differs(tool, monkeypatch, capsys):
    files = tool.all_files()
    monkeypatch.setattr(tool, 'all_files', lambda: files)
    tool.main(['--check'])
    assert capsys.readouterr().out == '0 files differ\n'
    name = sorted(files)[0]
    files[name] += '\n'
    with pytest.raises(SystemExit):
        tool.main(['--check'])
    assert capsys.readouterr().out == f'1 files differ\n{name}\n'


@pytest.mark.parametrize('row', rows('released_hparams.csv'), ids=str)
def test_released_settings_arrive(row):
    cfg = leaf(row['suite'], WEIGHTS[row['backbone']], 'davpt', row['task'])

    def cell(key, default):
        return float(row[key] or default)

    keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
    decay = cfg.optim_wrapper.optimizer.weight_decay
    loss = cfg.model.guidance.loss
    assert cfg.optim_wrapper.optimizer.lr == cell('lr', 1e-3)
    assert cfg.train_dataloader.batch_size == cell('batch_size', 32)
    assert decay * keys['prompts'].decay_mult == pytest.approx(
        cell('weight_decay', 0.01)
    )
    assert decay * keys['head.fc.weight'].decay_mult == pytest.approx(
        cell('wd_head', 3)
    )
    weights = cell('vpt_loss_weight', 0), cell('cls_loss_weight', 0)
    assert (loss.token_weight, loss.cls_weight) == (
        (0.01, 0.01) if weights == (0, 0) else weights
    )
    first = cell('proxy_prompt_start_idx', 11)
    last = cell('proxy_prompt_end_idx', 11)
    assert [*cfg.model.guidance.guided_layers] == [
        layer for layer in range(12) if first <= layer <= last
    ]
    numbers = cfg.model.backbone.num_prompts
    numbers = [numbers] * 12 if isinstance(numbers, int) else [*numbers]
    assert numbers == [
        cell('proxy_prompt_len', 10)
        if first <= layer <= last
        else cell('num_prompts', 20)
        for layer in range(12)
    ]


def test_what_the_table_lacks_is_said():
    released = {
        (row['suite'], WEIGHTS[row['backbone']], row['task'])
        for row in rows('released_hparams.csv')
    }
    lacking = set()
    for path in CONFIGS.glob('vtab/*/davpt_*.py'):
        weights, task = path.parent.name, path.stem.split('_vtab-')[1]
        text = path.read_text(encoding='utf-8')
        said = 'not in the released table' in text
        assert said == (('vtab', weights, task) not in released)
        if said:
            lacking.add((weights, task))
            cfg = Config.fromfile(path)
            assert cfg.optim_wrapper.optimizer.lr == 5e-4
            assert cfg.model.backbone.num_prompts == 20
    everywhere = ('kitti', 'sun397', 'svhn')
    assert lacking == {
        *((w, t) for w in WEIGHTS.values() for t in everywhere),
        ('mae', 'oxford_iiit_pet'),
        ('moco-v3', 'diabetic_retinopathy'),
    }


@pytest.mark.parametrize(
    'experiment, prompts, head',
    [
        (('fgvc', 'in21k', 'davpt-plus', 'cub'), 0.05, 5.0),
        (('vtab', 'in21k', 'davpt-plus', 'dmlab'), 0.0, 0.05),
        (('vtab', 'mae', 'davpt', 'dsprites_ori'), 1.0, 0.0),
    ],
)
def test_decays_reach_the_optimizer(experiment, prompts, head):
    cfg = leaf(*experiment)
    cfg.model.backbone.arch = dict(
        embed_dims=16, num_layers=12, num_heads=2, feedforward_channels=16
    )
    cfg.model.backbone.trainable = ('layers.*.ln1.*',)
    cfg.model.head.in_channels = 16
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    decays = {
        names[id(group['params'][0])]: group['weight_decay']
        for group in groups
        if id(group['params'][0]) in names  # one is the wrapper's own
    }
    expected = {
        'head.fc.weight': head,
        'head.fc.bias': 0.0,
        'backbone.prompts.0': prompts,
        'backbone.prompts.11': prompts,
        'backbone.layers.3.ln1.weight': 0.0,
        'backbone.layers.3.ln1.bias': 0.0,
    }
    if 'plus' in experiment[2]:
        expected['backbone.bias_delta.v'] = 0.0
    for name, value in expected.items():
        assert decays[name] == pytest.approx(value), name


# ---- the paper's numbers ----


def paper():
    return {
        (r['suite'], r['weights'], r['method'], r['task']): r['value']
        for r in rows('paper_results.csv')
    }


@pytest.mark.parametrize('weights', WEIGHTS.values())
def test_group_means_follow_from_the_tasks(tool, weights):
    numbers = paper()
    of_group = {group: [] for group in GROUPS}
    for task in tool.TASKS.values():
        value = numbers['vtab', weights, 'davpt-plus', task.name]
        of_group[task.group].append(float(value))
    assert {g: len(v) for g, v in of_group.items()} == GROUPS
    means = {g: sum(v) / len(v) for g, v in of_group.items()}
    for group, mean in means.items():
        printed = numbers['vtab', weights, 'davpt-plus', group]
        assert mean == pytest.approx(float(printed), abs=0.06)
    all_tasks = sum(sum(v) for v in of_group.values()) / 19
    assert all_tasks == pytest.approx(MEANS_OF_19[weights], abs=0.006)
    readme = (CONFIGS / 'vtab/README.md').read_text(encoding='utf-8')
    assert f'| {MEANS_OF_19[weights]:.2f} |' in readme
    assert f'| {numbers["vtab", weights, "davpt-plus", "mean"]} |' in readme


def test_heads_and_readmes_have_the_papers_numbers():
    numbers = paper()
    for (suite, weights, method, task), value in numbers.items():
        if suite == 'setr':
            file = CONFIGS / f'setr_{method}_{task.removesuffix("-ms")}.py'
            kind = 'multi-scale' if task.endswith('-ms') else 'mIoU'
            assert f'{kind} {value}' in file.read_text(encoding='utf-8')
            table = (CONFIGS / 'README.md').read_text(encoding='utf-8')
            row = re.search(rf'`{file.name}`.*', table).group()
            assert value in row
        else:
            readme = CONFIGS / suite / 'README.md'
            assert value in readme.read_text(encoding='utf-8')
            file = path_of(suite, weights, method, task)
            if file.exists():
                text = file.read_text(encoding='utf-8')
                assert f'Paper: top-1 {value} (' in text


def test_counts_in_the_readme_are_those_of_the_heads():
    table = (CONFIGS / 'README.md').read_text(encoding='utf-8')
    for path in CONFIGS.glob('setr_*.py'):
        head = path.read_text(encoding='utf-8')
        count = re.search(r'([\d,]+) parameters\s+train', head).group(1)
        assert f'| `{path.name}` | {count} |' in table
