"""The experiment tables agree with the released settings and the paper."""

import csv
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from mmdavpt.cli.experiment_table import build_config, read_table
from mmdavpt.cli.options import parse_value
from mmdavpt.datasets.fgvc import SETS
from mmdavpt.datasets.vtab1k import TASKS
from mmdavpt.models.guidance.prompt_guidance import resolve_guided_layers

CONFIGS = Path(__file__).parents[1] / 'configs'
TABLES = {
    path.stem: read_table(path)
    for path in (CONFIGS / 'experiments').glob('*.csv')
}
GROUPS = dict(natural=7, specialized=4, structured=8)
#: Computed from the rows below; the paper prints the mean of three groups.
MEANS_OF_19 = {'in21k': 73.65, 'mae': 66.96, 'moco-v3': 70.99}
#: Our name for weights to the one in released_hparams.csv.
WEIGHTS = {'in21k': 'sup', 'mae': 'mae', 'moco-v3': 'moco'}


def cells(name):
    with open(CONFIGS / name, encoding='utf-8') as file:
        return list(csv.DictReader(file))


RELEASED = {
    (row['suite'], f'{row["backbone"]}/{row["task"]}'): row
    for row in cells('released_hparams.csv')
}
#: The rows of vtab.csv and fgvc.csv as text.
ROWS = [
    (suite, row)
    for suite in ('vtab', 'fgvc')
    for row in cells(f'experiments/{suite}.csv')
]


def expected_settings(suite, row):
    """Return a row's settings in the released table or the paper's ranges.

    Blank cells of the released table mean the defaults of its ``params.py``.
    """
    released = RELEASED.get((suite, row['released']))
    if released is None:
        return dict(
            lr=5e-4,
            weight_decay=0.05,
            head_weight_decay=0.05,
            batch_size=32,
            weights=(0.01, 0.01),
            first=11,
            prompts=[20] * 12,
        )

    def cell(key, default):
        return float(released[key] or default)

    first = int(cell('proxy_prompt_start_idx', 11))
    assert cell('proxy_prompt_end_idx', 11) == 11
    weights = cell('vpt_loss_weight', 0), cell('cls_loss_weight', 0)
    return dict(
        lr=cell('lr', 1e-3),
        weight_decay=cell('weight_decay', 0.01),
        head_weight_decay=cell('wd_head', 3),
        batch_size=cell('batch_size', 32),
        # Two zeros turn guidance off; our rows have the most common weights.
        weights=(0.01, 0.01) if weights == (0, 0) else weights,
        first=first,
        prompts=[cell('num_prompts', 20)] * first
        + [cell('proxy_prompt_len', 10)] * (12 - first),
    )


def test_released_settings_are_in_the_tables():
    for suite, row in ROWS:
        changes = dict(TABLES[suite][row['row']].changes)
        plus = 'davpt-plus' in row['row']
        bias = changes.pop('model.backbone.bias', None)
        assert bias == (('k', 'v') if plus else None)
        first = changes['first_guided']
        found = dict(
            {k: changes[k] for k in ('lr', 'weight_decay', 'batch_size')},
            head_weight_decay=changes['head_weight_decay'],
            weights=(changes['token_weight'], changes['cls_weight']),
            first=first,
            prompts=[changes['num_prompts']] * first
            + [changes['guided_prompts']] * (12 - first),
        )
        assert found == expected_settings(suite, row), row['row']


@pytest.mark.parametrize(
    'suite, name',
    [
        ('vtab', 'davpt_vit-b-mae_vtab-cifar'),
        ('fgvc', 'davpt-plus_vit-b-moco-v3_cub'),
        ('fgvc', 'davpt_vit-b-in21k_dogs'),
    ],
)
def test_settings_of_a_row_reach_its_config(suite, name):
    (row,) = [row for _, row in ROWS if row['row'] == name]
    cfg = build_config(TABLES[suite][name])
    expected = expected_settings(suite, row)
    keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
    decay = cfg.optim_wrapper.optimizer.weight_decay
    loss = cfg.model.guidance.loss
    layers = [*range(expected['first'], 12)]
    assert cfg.optim_wrapper.optimizer.lr == expected['lr']
    assert decay * keys['prompts'].decay_mult == pytest.approx(
        expected['weight_decay']
    )
    assert decay * keys['head.fc.weight'].decay_mult == pytest.approx(
        expected['head_weight_decay']
    )
    assert cfg.train_dataloader.batch_size == expected['batch_size']
    assert (loss.token_weight, loss.cls_weight) == expected['weights']
    assert [*cfg.model.guidance.guided_layers] == layers
    assert [*cfg.model.backbone.num_prompts] == expected['prompts']
    assert ('bias' in cfg.model.backbone) == ('davpt-plus' in name)
    assert cfg.model.head.num_classes == int(row['num_classes'])


def test_rows_are_all_data_with_all_weights_and_both_methods():
    data = {'vtab': TASKS, 'fgvc': SETS}
    key = {'vtab': 'task', 'fgvc': 'name'}
    seen = []
    for suite, row in ROWS:
        each = data[suite][row[key[suite]]]
        assert int(row['num_classes']) == each.num_classes
        infix = 'vtab-' if suite == 'vtab' else ''
        method = row['row'].split('_')[0]
        assert row['row'] == (
            f'{method}_vit-b-{row["weights"]}_{infix}{each.name}'
        )
        released = f'{WEIGHTS[row["weights"]]}/{each.name}'
        known = (suite, released) in RELEASED
        assert row['released'] == (released if known else '')
        seen.append((suite, row['weights'], each.name, method))
    assert len(set(seen)) == len(seen) == 2 * 3 * (19 + 5)
    used = {(suite, row['released']) for suite, row in ROWS}
    assert used - {('vtab', '')} == set(RELEASED)


def test_weights_decide_the_features():
    files = {
        'in21k': 'augreg_in21k',
        'mae': 'mae_pretrain',
        'moco-v3': 'linear-vit-b-300ep',
    }
    for weights, file in files.items():
        row = f'davpt_vit-b-{weights}_cub'
        cfg = build_config(TABLES['fgvc'][row])
        backbone = cfg.model.backbone
        assert file in backbone.init_cfg.checkpoint
        pools = backbone.get('out_type') == 'avg_featmap'
        assert pools == backbone.get('pool_prompts', False)
        assert pools == (weights == 'mae')


@pytest.mark.parametrize(
    'suite, row, prompts, head',
    [
        ('fgvc', 'davpt-plus_vit-b-in21k_cub', 0.05, 5.0),
        ('vtab', 'davpt-plus_vit-b-in21k_vtab-dmlab', 0.0, 0.05),
        ('vtab', 'davpt_vit-b-mae_vtab-dsprites_ori', 1.0, 0.0),
    ],
)
def test_weight_decay_reaches_the_optimizer(suite, row, prompts, head):
    cfg = build_config(TABLES[suite][row])
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
    if 'plus' in row:
        expected['backbone.bias_delta.v'] = 0.0
    for name, value in expected.items():
        assert decays[name] == pytest.approx(value), name


def test_glyph_rows_differ_and_build_on_the_meta_device():
    for name in ('glyphs_paper', 'glyphs_causes', 'glyphs_scenes'):
        table = TABLES[name]
        changes = [repr(row.changes) for row in table.values()]
        assert len(set(changes)) == len(changes)
        for row in table.values():
            assert row.compare in {'', *table}
            cfg = build_config(row, seed=3)
            assert cfg.randomness.seed == 3
            cfg.model.pop('data_preprocessor', None)
            cfg.model.backbone.pop('init_cfg')
            init_default_scope(cfg.default_scope)
            with torch.device('meta'):
                MODELS.build(cfg.model)


# ---- the paper's numbers ----


@pytest.mark.parametrize('weights', WEIGHTS)
def test_group_means_follow_from_the_tasks(weights):
    of_group = {group: [] for group in GROUPS}
    for _, row in ROWS:
        if row['row'].startswith(f'davpt-plus_vit-b-{weights}_vtab-'):
            of_group[TASKS[row['task']].group].append(float(row['paper']))
    assert {g: len(v) for g, v in of_group.items()} == GROUPS
    readme = (CONFIGS / 'vtab/README.md').read_text(encoding='utf-8')
    printed = re.findall(r'\| DA-VPT\+ \|(.*)\|', readme)
    printed = [float(c) for c in printed[[*WEIGHTS].index(weights)].split('|')]
    *groups, mean_of_groups, mean_of_tasks = printed
    means = [sum(v) / len(v) for v in of_group.values()]
    assert groups == pytest.approx(means, abs=0.06)
    assert mean_of_groups == pytest.approx(sum(groups) / 3, abs=0.02)
    assert mean_of_tasks == MEANS_OF_19[weights]
    assert mean_of_tasks == pytest.approx(
        sum(sum(v) for v in of_group.values()) / 19, abs=0.006
    )


def test_setr_table_agrees_with_the_configs():
    table = (CONFIGS / 'README.md').read_text(encoding='utf-8')
    for path in CONFIGS.glob('setr_*.py'):
        head = path.read_text(encoding='utf-8')
        count = re.search(r'([\d,]+) parameters\s+train', head).group(1)
        (row,) = re.findall(rf'\| `{path.name}` \| {count} \|.*', table)
        paper = re.search(r'mIoU ([\d.]+), multi-scale ([\d.]+)', head)
        expected = f'| {paper[1]} / {paper[2]} |' if paper else '| none |'
        assert expected in row


SPACES = {
    path.stem: json.loads(path.read_text())
    for path in (CONFIGS / 'experiments').glob('search_*.json')
}


def ends(values):
    """Return the choices of a range or a list, or the ends of a range."""
    if 'choices' in values:
        return values['choices']
    assert values['low'] < values['high'] and values['log'] is True
    return [values['low'], values['high']]


@pytest.mark.parametrize('name', SPACES)
def test_every_value_of_a_search_space_makes_a_config(name):
    if name in ('search_paper', 'search_released'):
        row = TABLES['fgvc']['davpt_vit-b-in21k_cub']
    else:
        path = CONFIGS / 'recommended/classification.py'
        (row,) = read_table(path).values()
        assert row.name == 'classification' and not row.changes
    columns = [ends(values) for values in SPACES[name].values()]
    for values in itertools.zip_longest(*columns):
        pairs = zip(SPACES[name], values, columns, strict=True)
        new = {
            key: parse_value(str(column[-1] if value is None else value))
            for key, value, column in pairs
        }
        changed = replace(row, changes=row.changes | new)
        cfg = build_config(changed)
        assert cfg.optim_wrapper.optimizer.lr == new['lr']
        if name != 'search_rates':
            guidance, counts = cfg.model.guidance, cfg.model.backbone
            counts = counts.num_prompts
            counts = (counts,) * 12 if isinstance(counts, int) else counts
            resolve_guided_layers(guidance.guided_layers, counts)


def test_search_spaces_are_those_of_the_paper_and_the_released_code():
    paper = {key: ends(v) for key, v in SPACES['search_paper'].items()}
    assert paper == dict(
        lr=[1e-3, 5e-4, 1e-4, 5e-5],
        weight_decay=[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0],
        first_guided=[10, 8, 6, 4, 2, 0],  # 12 guides no layer
        guided_prompts=[5, 10, 20, 40],
    )
    for key, column in (
        ('lr', 'lr'),
        ('weight_decay', 'weight_decay'),
        ('head_weight_decay', 'wd_head'),
        ('num_prompts', 'num_prompts'),
        ('guided_prompts', 'proxy_prompt_len'),
        ('first_guided', 'proxy_prompt_start_idx'),
        ('token_weight', 'vpt_loss_weight'),
        ('cls_weight', 'cls_loss_weight'),
    ):
        found = {float(r[column]) for r in RELEASED.values() if r[column]}
        values = SPACES['search_released'][key]
        if 'choices' in values:
            assert set(values['choices']) == found
        else:
            # A logarithmic range has no 0.
            assert min(found - {0}) == values['low']
            assert max(found) == values['high']
