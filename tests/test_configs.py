"""Every config loads, builds, and holds no key that nothing reads."""

import ast
import copy
import functools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmdavpt.checks.build import DryRunner
from mmdavpt.checks.names import runner_keys
from mmdavpt.checks.silent import find_errors
from mmdavpt.cli.protocol import selection_warning, with_protocol

ROOT = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(
    p.relative_to(ROOT).as_posix()
    for p in ROOT.rglob('*.py')
    if '_base_' not in p.relative_to(ROOT).parts
)
BASES = sorted((ROOT / '_base_').rglob('*.py'))
#: Heads; with 20 prompts in 24 layers of 1,024 channels; with K and V bias.
SETR_COUNTS = {
    'setr_full_ade20k.py': 317_291_096,
    'setr_full_pascal_context.py': 317_071_600,
    'setr_linear_ade20k.py': 13_143_640,
    'setr_linear_pascal_context.py': 13_051_120,
    'setr_bias_ade20k.py': 13_143_640 + 49_152,
    'setr_bias_pascal_context.py': 13_051_120 + 49_152,
    'setr_vpt_ade20k.py': 13_635_160,
    'setr_vpt_pascal_context.py': 13_542_640,
    'setr_davpt_ade20k.py': 13_635_160,
    'setr_davpt-plus_ade20k.py': 13_684_312,
    'setr_davpt_pascal_context.py': 13_542_640,
    'setr_davpt-plus_pascal_context.py': 13_591_792,
    # One class less of 1 main and 3 auxiliary heads, 256 weights and a bias.
    'setr_davpt_pascal_context59.py': 13_542_640 - 4 * 257,
}
CUB = 'fgvc/in21k/davpt_vit-b-in21k_cub.py'
# Prompts 12 x 10 x 768, the head 768 x 200 + 200, K and V bias 2 x 12 x 768.
CUB_COUNT = 92_160 + 153_800
COUNTS = {
    **SETR_COUNTS,
    CUB: CUB_COUNT,
    CUB.replace('/davpt', '/davpt-plus'): CUB_COUNT + 18_432,
}
OF_PAPER = sorted(
    {*SETR_COUNTS, *(n for n in LEAVES if n.startswith(('vtab/', 'fgvc/')))}
)
WITH_PROTOCOLS = [
    'vtab/in21k/davpt_vit-b-in21k_vtab-dtd.py',
    'vtab/mae/davpt-plus_vit-b-mae_vtab-patch_camelyon.py',
    CUB,
    'fgvc/moco-v3/davpt-plus_vit-b-moco-v3_flowers.py',
]


@functools.cache
def load(name: str) -> Config:
    """Load a config that nobody changes."""
    return Config.fromfile(ROOT / name)


_built = {}


def build_model(cfg: Config):
    """Build a model without memory for its weights, as a runner would."""
    init_default_scope(cfg.default_scope)
    model = cfg.model.copy()
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    key = (cfg.default_scope, repr(model.to_dict()))
    if key not in _built:
        with torch.device('meta'):
            _built[key] = MODELS.build(model)
    return _built[key]


def trainable_count(model) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'))


@functools.cache
def chain(path: Path) -> frozenset:
    """Return a config file and all that it inherits from."""
    files = {path}
    for node in parsed(path).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            bases = ast.literal_eval(node.value)
            for base in [bases] if isinstance(bases, str) else bases:
                files |= chain((path.parent / base).resolve())
    return frozenset(files)


@functools.cache
def names_read(path: Path) -> frozenset:
    """Return what the expressions of a config file read."""
    read = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
        elif isinstance(node, ast.Attribute):  # `_base_.name`
            read.add(node.attr)
    return frozenset(read)


@pytest.mark.parametrize('name', LEAVES)
def test_model_builds(name):
    count = trainable_count(build_model(load(name)))
    assert count > 0
    if name in COUNTS:
        assert count == COUNTS[name]


def test_all_counted_configs_exist():
    assert set(COUNTS) <= set(LEAVES)
    assert {n for n in LEAVES if '/' not in n} == set(SETR_COUNTS)
    assert len([n for n in LEAVES if n.startswith('vtab/')]) == 19 * 3 * 2
    assert len([n for n in LEAVES if n.startswith('fgvc/')]) == 5 * 3 * 2


@pytest.mark.parametrize('name', LEAVES)
def test_every_part_builds_and_reads_its_keys(name):
    cfg = load(name)
    assert list(find_errors(cfg, DryRunner(cfg, True), True)) == []


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
    docstring = ast.get_docstring(parsed(ROOT / name))
    assert 'Command: ' in docstring
    assert f'configs/{name}' in docstring


@pytest.mark.parametrize('name', OF_PAPER)
def test_real_configs_are_short_and_label_the_papers_number(name):
    text = (ROOT / name).read_text(encoding='utf-8')
    assert len(text.splitlines()) <= 45
    assert 'Paper: ' in text and 'Ours: not run here, needs ' in text
    if name in SETR_COUNTS:
        assert f'{SETR_COUNTS[name]:,} parameters train' in text


# ---- segmentation ----


@pytest.mark.parametrize('name', SETR_COUNTS)
def test_setr_settings(name):
    data, classes = ('ade20k', 150) if 'ade20k' in name else ('pascal', 60)
    crop, stride, iterations = {
        'ade20k': (512, 341, 160_000),
        'pascal': (480, 320, 80_000),
    }[data]
    if name.endswith('59.py'):
        classes = 59
    cfg = load(name)
    model = cfg.model
    heads = [model.decode_head, *model.auxiliary_head]
    assert [h.in_index for h in heads] == [3, 0, 1, 2]
    assert [h.num_convs for h in heads] == [4, 2, 2, 2]
    assert [h.up_scale for h in heads] == [2, 4, 4, 4]
    assert [h.loss_decode.loss_weight for h in heads] == [1.0, 0.4, 0.4, 0.4]
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
    assert cfg.default_hooks.checkpoint.max_keep_ckpts >= 2
    assert 'save_best' not in cfg.default_hooks.checkpoint


@pytest.mark.parametrize('name', SETR_COUNTS)
def test_what_of_setr_trains(name):
    model = build_model(load(name))
    groups = {
        parts[0]
        if parts[0] != 'backbone' or parts[1] not in ('prompts', 'bias_delta')
        else parts[1]
        for parts in (
            n.split('.')
            for n, p in model.named_parameters()
            if p.requires_grad
        )
    }
    expected = {
        'full': {'backbone'},
        'linear': set(),
        'bias': {'bias_delta'},
        'vpt': {'prompts'},
        'davpt': {'prompts'},
        'davpt-plus': {'prompts', 'bias_delta'},
    }[name.split('_')[1]]
    assert groups == {'decode_head', 'auxiliary_head'} | expected
    assert (model.guidance is not None) == ('davpt' in name)


@pytest.mark.parametrize(
    'name, background',
    [
        ('setr_davpt_ade20k.py', None),
        ('setr_davpt_pascal_context.py', 0),
        ('setr_davpt-plus_pascal_context.py', 0),
        ('setr_davpt_pascal_context59.py', None),
    ],
)
def test_background_guides_nothing(name, background):
    cfg = load(name)
    assert cfg.model.guidance.get('background_class') == background
    if name.endswith('59.py'):
        for split in ('train', 'val', 'test'):
            kind = cfg[f'{split}_dataloader'].dataset.type
            assert kind == 'PascalContextDataset59'


@pytest.mark.parametrize(
    'name,scale',
    [
        ('setr_davpt_ade20k.py', (2048, 512)),
        ('setr_davpt_pascal_context.py', (520, 520)),
        ('recommended/setr_davpt_image_folder.py', (2048, 512)),
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
    assert trainable_count(model) == 13_635_160


# ---- classification ----


def splits_of(cfg: Config) -> dict:
    return {
        split: cfg[f'{split}_dataloader'].dataset.split
        for split in ('train', 'val', 'test')
        if cfg.get(f'{split}_dataloader') is not None
    }


@pytest.mark.parametrize('name', WITH_PROTOCOLS)
def test_protocols(name):
    cfg = load(name)
    whole, part, held_out = (
        ('train800val200', 'train800', 'val200')
        if name.startswith('vtab')
        else ('trainval', 'train', 'val')
    )
    released = whole if name.startswith('vtab') else part
    expected = {
        'tune': dict(train=part, val=held_out, test='test'),
        'retrain': dict(train=whole, test='test'),
        'released': dict(train=released, val='test', test='test'),
    }
    assert set(cfg.protocols) == set(expected) and cfg.protocol == 'retrain'
    assert splits_of(cfg) == expected['retrain']
    for protocol, splits in expected.items():
        applied = with_protocol(cfg, protocol)
        assert splits_of(applied) == splits
        assert DryRunner(applied, True)
        chooses = 'save_best' in applied.default_hooks.checkpoint
        assert chooses == ('val' in splits)
        assert ('val_cfg' in applied) == ('val' in splits)
        warning = selection_warning(applied)
        assert (warning is not None) == (protocol == 'released')
        which = {
            tuple(
                value
                for key, value in cfg_of_split.dataset.items()
                if key in ('task', 'name')
            )
            for key, cfg_of_split in applied.items()
            if key.endswith('_dataloader')
        }
        assert len(which) == 1 and len(which.pop()) == 1
    assert with_protocol(cfg, 'released').train_cfg.val_begin == 60


@pytest.mark.parametrize('name', WITH_PROTOCOLS)
def test_schedule_is_the_papers(name):
    cfg = load(name)
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.train_dataloader.batch_size == 32
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.end, cosine.begin, cosine.eta_min) == (10, 10, 1e-8)
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.data_preprocessor.mean == [123.675, 116.28, 103.53]


def test_images_of_vtab_are_resized_only():
    kinds = [t.type for t in load(WITH_PROTOCOLS[0]).train_pipeline]
    assert kinds == ['LoadImageFromFile', 'Resize', 'PackInputs']


@pytest.mark.parametrize('folder', ['vtab', 'fgvc'])
def test_features_are_those_of_the_weights(folder):
    for name in LEAVES:
        if name.startswith(folder):
            cfg = load(name)
            weights = name.split('/')[1]
            backbone = cfg.model.backbone
            assert (backbone.get('out_type') == 'avg_featmap') == (
                weights == 'mae'
            )
            file = backbone.init_cfg.checkpoint
            assert (
                dict(
                    **{'in21k': 'augreg_in21k', 'mae': 'mae_pretrain'},
                    **{'moco-v3': 'linear-vit-b-300ep'},
                )[weights]
                in file
            )


def test_recommended_configs_normalise_as_the_weights_declare():
    cls = load('recommended/davpt_image_folder.py').data_preprocessor
    seg = load('recommended/setr_davpt_image_folder.py').model
    for preprocessor in (cls, seg.data_preprocessor):
        assert preprocessor.mean == preprocessor.std == [127.5] * 3


def test_the_released_plus_can_be_trained():
    cfg = copy.deepcopy(load(CUB.replace('/davpt', '/davpt-plus')))
    text = (ROOT / 'vtab/README.md').read_text(encoding='utf-8')
    patterns = text.split('model.backbone.trainable="')[1].split('"')[0]
    cfg.model.backbone.trainable = ast.literal_eval(patterns)
    count = trainable_count(build_model(cfg))
    # Of 12 layers: three biases, and a norm's weight and bias; [CLS].
    assert count == CUB_COUNT + 18_432 + 12 * 5 * 768 + 768
