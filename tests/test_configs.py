"""Every config loads, builds, and holds no key that nothing reads."""

import ast
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmdavpt.utils.config_keys import (
    accepted_keys,
    resolve_type,
    runner_keys,
    walk,
)

ROOT = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(
    p.relative_to(ROOT).as_posix()
    for p in ROOT.rglob('*.py')
    if '_base_' not in p.relative_to(ROOT).parts
)
BASES = sorted((ROOT / '_base_').rglob('*.py'))
OWN_KEYS = {'type', '_scope_', '_delete_'}
SETR_COUNTS = {
    'setr_davpt_ade20k.py': 13_635_160,
    'setr_davpt-plus_ade20k.py': 13_684_312,
    'setr_davpt_pascal_context.py': 13_542_640,
    'setr_davpt-plus_pascal_context.py': 13_591_792,
}
# Prompts 12 x 10 x 768 and the head 768 x 200 + 200.
COUNTS = {**SETR_COUNTS, 'davpt_cub200.py': 92_160 + 153_800}


def load(name: str) -> Config:
    return Config.fromfile(ROOT / name)


def build_model(cfg: Config):
    """Build a model without memory for its weights, as a runner would."""
    init_default_scope(cfg.default_scope)
    model = cfg.model.copy()
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with torch.device('meta'):
        return MODELS.build(model)


def dead_keys(cfg: Config) -> list:
    """Return the keys below the top level that no signature takes."""
    cfg = cfg.to_dict()
    dead = []
    for path, node in walk(cfg):
        if path == '' or path.split('.')[0] not in runner_keys():
            continue
        accepted = accepted_keys(path, node, cfg['default_scope'])
        if accepted is not None:
            dead += [
                f'{path}.{key}'
                for key in node
                if key not in accepted | OWN_KEYS
            ]
    return dead


def chain(path: Path) -> set:
    """Return a config file and all that it inherits from."""
    files = {path}
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            bases = ast.literal_eval(node.value)
            for base in [bases] if isinstance(bases, str) else bases:
                files |= chain((path.parent / base).resolve())
    return files


def names_read(path: Path) -> set:
    """Return what the expressions of a config file read."""
    read = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
        elif isinstance(node, ast.Attribute):  # `_base_.name`
            read.add(node.attr)
    return read


@pytest.mark.parametrize('name', LEAVES)
def test_model_builds(name):
    model = build_model(load(name))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable > 0
    if name in COUNTS:
        assert trainable == COUNTS[name]


def test_all_counted_configs_exist():
    assert set(COUNTS) <= set(LEAVES)


@pytest.mark.parametrize('name', LEAVES)
def test_every_type_is_registered(name):
    cfg = load(name).to_dict()
    for path, node in walk(cfg):
        kind = node.get('type')
        if isinstance(kind, str):
            assert resolve_type(kind, cfg['default_scope']), f'{path}: {kind}'


@pytest.mark.parametrize('name', LEAVES)
def test_no_key_is_dead(name):
    assert dead_keys(load(name)) == []


@pytest.mark.parametrize(
    'key',
    [
        'model.backbone.num_promts',
        'model.guidance.loss.tokenweight',
        'model.guidance.guided_layer',
        'train_dataloader.batchsize',
        'train_dataloader.dataset.data_rot',
        'train_cfg.max_iter',
        'optim_wrapper.optimizer.momentun',
        'param_scheduler.0.ends',
        'default_hooks.logger.intervall',
        'env_cfg.cudnn_benchmrk',
        'model.decode_head.norm_cfg.requires_grads',
        'model.test_cfg.strides',
        'optim_wrapper.paramwise_cfg.custom_key',
        'test_dataloader.dataset.pipeline.1.scales',
    ],
)
def test_dead_keys_are_found(key):
    cfg = load('setr_davpt_ade20k.py')
    cfg.merge_from_dict({key: 1})
    assert dead_keys(cfg) == [key]


@pytest.mark.parametrize('name', LEAVES)
def test_every_variable_is_read(name):
    variables = set(load(name).to_dict()) - runner_keys()
    read = set().union(*(names_read(p) for p in chain(ROOT / name)))
    assert variables <= read


def test_every_base_is_used():
    used = set().union(*(chain(ROOT / name) for name in LEAVES))
    assert {p.resolve() for p in BASES} <= used


@pytest.mark.parametrize('name', LEAVES)
def test_head_says_how_to_run(name):
    docstring = ast.get_docstring(
        ast.parse((ROOT / name).read_text(encoding='utf-8'))
    )
    assert 'Command: ' in docstring
    assert f'configs/{name}' in docstring


@pytest.mark.parametrize('name', COUNTS)
def test_real_configs_are_short_and_label_the_papers_number(name):
    text = (ROOT / name).read_text(encoding='utf-8')
    assert len(text.splitlines()) <= 45
    assert 'Paper: ' in text and 'not run here' in text
    if name in SETR_COUNTS:
        assert f'{SETR_COUNTS[name]:,}' in text


@pytest.mark.parametrize(
    'name,classes,crop,stride,iterations,background',
    [
        ('setr_davpt_ade20k.py', 150, 512, 341, 160_000, None),
        ('setr_davpt_pascal_context.py', 60, 480, 320, 80_000, 0),
    ],
)
def test_setr_settings(name, classes, crop, stride, iterations, background):
    for file in (name, name.replace('davpt', 'davpt-plus')):
        cfg = load(file)
        model = cfg.model
        heads = [model.decode_head, *model.auxiliary_head]
        assert [h.in_index for h in heads] == [3, 0, 1, 2]
        assert [h.num_convs for h in heads] == [4, 2, 2, 2]
        assert [h.up_scale for h in heads] == [2, 4, 4, 4]
        assert [h.loss_decode.loss_weight for h in heads] == [
            1.0,
            0.4,
            0.4,
            0.4,
        ]
        assert {h.num_classes for h in heads} == {classes}
        assert {h.norm_cfg.type for h in heads} == {'SyncBN'}
        assert model.data_preprocessor.size == (crop, crop)
        assert model.backbone.img_size in (crop, (crop, crop))
        assert cfg.train_pipeline[3].crop_size == (crop, crop)
        assert model.test_cfg == dict(
            mode='slide', crop_size=(crop, crop), stride=(stride, stride)
        )
        assert tuple(model.backbone.out_indices) == (9, 14, 19, 23)
        assert model.backbone.final_norm is False
        assert cfg.train_cfg.max_iters == iterations
        assert cfg.param_scheduler[0].end == iterations
        assert iterations % cfg.train_cfg.val_interval == 0
        assert model.guidance.get('background_class') == background
        assert cfg.default_hooks.checkpoint.max_keep_ckpts >= 2


@pytest.mark.parametrize(
    'name,scale',
    [
        ('setr_davpt_ade20k.py', (2048, 512)),
        ('setr_davpt_pascal_context.py', (520, 520)),
    ],
)
def test_multi_scale_is_relative_to_the_test_scale(name, scale):
    cfg = load(name)
    assert tuple(cfg.test_pipeline[1].scale) == scale
    sizes, flips, _, _ = cfg.tta_pipeline[1].transforms
    ratios = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    assert [tuple(s.scale) for s in sizes] == [
        tuple(int(side * r) for side in scale) for r in ratios
    ]
    assert all('scale_factor' not in s and s.keep_ratio for s in sizes)
    assert sorted(f.prob for f in flips) == [0.0, 1.0]


def test_one_value_chooses_the_feature_layers(tmp_path):
    text = (ROOT / 'setr_davpt_ade20k.py').read_text(encoding='utf-8')
    text = text.replace('./_base_', f'{ROOT.as_posix()}/_base_').replace(
        'feature_layers = (9, 14, 19, 23)', 'feature_layers = (8, 11, 17, 23)'
    )
    (tmp_path / 'paper_layers.py').write_text(text, encoding='utf-8')
    cfg = Config.fromfile(tmp_path / 'paper_layers.py')
    model = build_model(cfg)
    assert tuple(model.backbone.out_indices) == (8, 11, 17, 23)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == 13_635_160


def test_cub_validates_on_a_part_of_the_training_images():
    cfg = load('davpt_cub200.py')
    assert cfg.val_dataloader.dataset.test_mode is True
    assert cfg.val_dataloader.dataset.dataset.split == 'train'
    assert cfg.test_dataloader.dataset.split == 'test'
    same = ('num_splits', 'seed', 'type')
    assert all(
        cfg.train_dataloader.dataset[k] == cfg.val_dataloader.dataset[k]
        for k in same
    )


def test_cub_schedule_is_the_papers():
    cfg = load('davpt_cub200.py')
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.train_dataloader.batch_size == 32
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.end, cosine.begin, cosine.eta_min) == (10, 10, 1e-8)
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.default_hooks.checkpoint.interval == 1
