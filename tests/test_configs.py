"""Every config builds, trains the stated parameters and has a command."""

import ast
import copy
import functools
import re
from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmdavpt.checks.preflight import preflight
from mmdavpt.cli.common import load_config
from mmdavpt.cli.experiment_table import build_config, read_table
from mmdavpt.cli.protocol import selection_warning, with_protocol
from mmdavpt.models.pretrained.sources import build_on_meta
from mmdavpt.models.trainable import ADDED

ROOT = Path(__file__).parents[1] / 'configs'
DOCS = ROOT.parent / 'docs/config.md'
CONFIGS = {
    p.relative_to(ROOT).as_posix(): p
    for p in sorted(ROOT.rglob('*.py'))
    if '_base_' not in p.relative_to(ROOT).parts
}
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
    # One class less in 1 main and 3 auxiliary heads, 256 weights and a bias.
    'setr_davpt_pascal_context59.py': 13_542_640 - 4 * 257,
}
CUB = 'fgvc/in21k/davpt_vit-b-in21k_cub.py'
CIFAR = 'vtab/in21k/davpt_vit-b-in21k_vtab-cifar.py'
# Prompts 12 x 10 x 768, the head 768 x 200 + 200.
CUB_COUNT = 92_160 + 153_800
COUNTS = {
    **SETR_COUNTS,
    CUB: CUB_COUNT,
    CIFAR: 12 * 20 * 768 + 769 * 100,
    'recommended/classification.py': 12 * 20 * 768 + 769 * 2,
    # The heads of ViT-L with 148 classes and 256 channels less.
    'recommended/segmentation.py': 12 * 20 * 768
    + SETR_COUNTS['setr_linear_ade20k.py']
    - 4 * (257 * 148 + 256 * (9 * 256 + 2)),
    # Prompts; the linear head's norm, and its map to 150 classes.
    'dino/ade20k.py': 12 * 20 * 768 + 2 * 768 + 769 * 150,
    'glyphs/davpt_glyphs.py': 15_678,
    'glyphs/vpt_glyphs.py': 15_678,
    'glyphs/setr_davpt_glyphs.py': 385_132,
    'glyphs/setr_vpt_glyphs.py': 385_132,
    'glyphs/pretrain_glyphs.py': 1_232_485,
}
#: Trained backbone parameters in the rows of the paper's Table 2.
TRAINED = {
    'full': {'backbone'},
    'linear': set(),
    'bias': {'bias_delta'},
    'vpt': {'prompts'},
    'davpt': {'prompts'},
    'davpt-plus': {'prompts', 'bias_delta'},
}


@functools.cache
def load(name: str) -> Config:
    """Load a config that no test changes."""
    return Config.fromfile(CONFIGS[name])


def build_model(cfg: Config, device: str = 'meta'):
    """Build a model as a runner would, by default without its weights."""
    init_default_scope(cfg.default_scope)
    model = cfg.model.copy()
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with torch.device(device):
        return MODELS.build(model)


def trainable_count(model) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def trained_parts(model) -> set:
    """Return the heads and the parts of the backbone that train."""
    parts = set()
    for name, parameter in model.named_parameters():
        part, child, *_ = name.split('.')
        if parameter.requires_grad:
            own = part == 'backbone' and child in ADDED
            parts.add(child if own else part)
    return parts


def check(cfg: Config) -> list[str]:
    """Return warnings as before a training; ignore the weights' file."""
    cfg = copy.deepcopy(cfg)
    cfg.model.backbone.pop('init_cfg', None)
    return preflight(cfg, training=True)


def test_all_configs_have_a_count():
    assert set(COUNTS) == set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_config_trains_its_stated_parameters(name):
    cfg = load(name)
    # The other SETR configs only change the model.
    if not name.startswith('setr') or name.startswith('setr_davpt_'):
        check(cfg)
    model = build_model(cfg)
    assert trainable_count(model) == COUNTS[name]
    head = ast.get_docstring(ast.parse(CONFIGS[name].read_text('utf-8')))
    assert re.search(rf'Command: .*\s*configs/{name}', head)
    if name in SETR_COUNTS:
        check_setr(name, cfg, model)
        assert f'{COUNTS[name]:,} parameters train' in head
    if name.startswith(('setr', 'vtab', 'fgvc')):
        assert 'Paper: ' in head and 'Ours: not run here, needs ' in head
    if name.startswith('dino'):
        assert 'Published: ' in head and 'Ours: not run here, needs ' in head


def check_setr(name: str, cfg: Config, model) -> None:
    """Check the values of a SETR config that the paper names."""
    ade, plain = 'ade20k' in name, name.endswith(('ade20k.py', 'context.py'))
    crop, stride, iters = (512, 341, 160_000) if ade else (480, 320, 80_000)
    heads = [model.decode_head, *model.auxiliary_head]
    assert [h.in_index for h in heads] == [3, 0, 1, 2]
    assert [len(h.up_convs) for h in heads] == [4, 2, 2, 2]
    assert [h.loss_decode.loss_weight for h in heads] == [1.0, 0.4, 0.4, 0.4]
    assert {h.num_classes for h in heads} == {150 if ade else 60 - (not plain)}
    assert {h.norm_cfg.type for h in heads} == {'SyncBN'}
    assert cfg.model.data_preprocessor.size == (crop, crop)
    assert cfg.model.backbone.img_size in (crop, (crop, crop))
    assert cfg.train_pipeline[3].crop_size == (crop, crop)
    assert cfg.model.test_cfg == dict(
        mode='slide', crop_size=(crop, crop), stride=(stride, stride)
    )
    assert model.backbone.out_indices == [9, 14, 19, 23]
    assert cfg.model.backbone.final_norm is False
    assert cfg.train_cfg.max_iters == iters
    assert 'end' not in cfg.param_scheduler[0]  # that of the training
    assert iters % cfg.train_cfg.val_interval == 0
    assert cfg.default_hooks.checkpoint.max_keep_ckpts >= 2
    assert 'save_best' not in cfg.default_hooks.checkpoint
    method = name.split('_')[1]
    parts = {'decode_head', 'auxiliary_head'} | TRAINED[method]
    assert trained_parts(model) == parts
    assert (model.guidance is not None) == ('davpt' in name)
    if model.guidance is not None:
        background = cfg.model.guidance.get('background_class')
        assert background == (None if ade or not plain else 0)
    kind = 'ADE20KDataset' if ade else 'PascalContextDataset'
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.type == (kind if plain else f'{kind}59')


@pytest.mark.parametrize(
    'name,scale',
    [
        ('setr_davpt_ade20k.py', (2048, 512)),
        ('setr_davpt_pascal_context.py', (520, 520)),
        ('recommended/segmentation.py', (1792, 448)),
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


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
@pytest.mark.parametrize(
    'method, trained',
    [
        ('davpt-plus', {'prompts', 'bias_delta'}),
        ('vpt', {'prompts'}),
        ('linear', set()),
        ('full', {'backbone'}),
        ('bias', {'backbone'}),
        ('lora', {'tuners'}),
        ('adaptformer', {'tuners'}),
        ('LoRA', {'tuners'}),  # any type of a tuner
    ],
)
def test_recommended_method_trains_what_it_says(task, method, trained):
    path = str(CONFIGS[f'recommended/{task}.py'])
    cfg = load_config(path, dict(method=method, arch='s', num_prompts=5))
    check(cfg)
    model = build_model(cfg)
    heads = {'head'} if task == 'classification' else set()
    heads = heads or {'decode_head', 'auxiliary_head'}
    assert trained_parts(model) == heads | trained
    assert (model.guidance is not None) == (method == 'davpt-plus')
    counts = {*model.backbone.prompts.counts}
    assert counts == {5 if 'prompts' in trained else 0}
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    if method == 'bias':
        assert all(n.endswith('bias') for n in names if 'backbone' in n)


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
@pytest.mark.parametrize('timm_model', [None, 'vit_small_patch14_reg4_dinov2'])
def test_recommended_frozen_dtype(task, timm_model):
    path = str(CONFIGS[f'recommended/{task}.py'])
    options = dict(frozen_dtype='bfloat16', arch='s', timm_model=timm_model)
    if timm_model is not None:
        options['backbone_options'] = {}
    model = build_model(load_config(path, options))
    sizes = {torch.bfloat16: 0, torch.float32: 0}
    for parameter in model.backbone.parameters():
        sizes[parameter.dtype] += parameter.numel()
    # Positions at the size of pre-training, [CLS], norms, biases, prompts.
    assert sizes[torch.float32] < 0.05 * sizes[torch.bfloat16]


@pytest.mark.parametrize('method, count', [('mp', 0), ('mp-plus', 442_368)])
@pytest.mark.parametrize(
    'timm_model, extra', [(None, 1), ('vit_base_patch14_reg4_dinov2', 5)]
)
def test_recommended_moment_probing(method, count, timm_model, extra):
    path = str(CONFIGS['recommended/classification.py'])
    options = dict(method=method, timm_model=timm_model)
    if timm_model is not None:
        options['backbone_options'] = {}
    cfg = load_config(path, options)
    check(cfg)
    model = build_model(cfg)
    assert model.head.num_extra_tokens == extra and model.guidance is None
    # The projection, norm and convolutions, and two classes.
    assert trainable_count(model.head) == 394_146 + 2 * 3_653
    assert trainable_count(model.backbone) == count


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
@pytest.mark.parametrize('arch, depth', [('s', 12), ('b', 12), ('l', 24)])
def test_recommended_settings_follow_from_the_arch(task, arch, depth):
    path = str(CONFIGS[f'recommended/{task}.py'])
    cfg = load_config(path, dict(arch=arch))
    name = dict(s='small', b='base', l='large')[arch]
    weights = f'vit_{name}_patch14_dinov2.lvd142m'
    backbone = cfg.model.backbone
    assert backbone.init_cfg.checkpoint == f'timm://{weights}'
    model = build_on_meta(weights)
    assert backbone.arch == dict(
        embed_dims=model.embed_dim,
        num_layers=depth,
        num_heads=model.blocks[0].attn.num_heads,
        feedforward_channels=model.blocks[0].mlp.fc1.out_features,
    )
    owner = cfg if task == 'classification' else cfg.model
    preprocessor = owner.data_preprocessor
    for key in ('mean', 'std'):
        declared = [255 * value for value in model.pretrained_cfg[key]]
        assert preprocessor[key] == pytest.approx(declared)
    if task == 'segmentation':
        layers = [4, 7, 9, 11] if depth == 12 else [9, 14, 19, 23]
        assert backbone.out_indices == layers


#: Trained parameters on ViT-B with 150 classes, as in docs/config.md: neck and
#: decode head, auxiliary heads.
HEADS = {
    'linear': (116_886, 0),
    'naive': (237_206, 711_618),
    'pup': (3_581_078, 7_201_218),
    'mla': (5_004_438, 154_200),
    'uper': (39_414_678, 1_808_534),
    'segmenter': (16_063_020, 0),
}


@pytest.mark.parametrize('task', ['dino/ade20k', 'recommended/segmentation'])
@pytest.mark.parametrize('head', HEADS)
def test_heads_have_the_documented_parameters(task, head):
    frozen = dict(dino='frozen').get(task.split('/')[0], 'linear')
    cfg = load_config(
        str(CONFIGS[f'{task}.py']), dict(head=head, method=frozen)
    )
    assert not check(cfg)
    cfg.model.num_classes = 150
    # Segmenter's head cannot be built without its values.
    model = build_model(cfg, 'cpu' if head == 'segmenter' else 'meta')
    counts = {'backbone': 0, 'auxiliary_head': 0}
    for name, parameter in model.named_parameters():
        part = name.split('.')[0]
        if parameter.requires_grad:
            counts[part] = counts.get(part, 0) + parameter.numel()
    auxiliary = counts.pop('auxiliary_head')
    assert (sum(counts.values()), auxiliary) == HEADS[head]
    row = re.search(rf'^\| `{head}` .*$', DOCS.read_text('utf-8'), re.M)[0]
    main, further = (f'{n:,}' if n else 'none' for n in HEADS[head])
    assert f' {main} |' in row and f' {further} |' in row


@pytest.mark.parametrize('vit', ['dinov2-b', 'dinov3-b', 'dinov3-l'])
@pytest.mark.parametrize(
    'head, method, trained',
    [
        ('linear', 'frozen', set()),
        ('linear', 'davpt', {'prompts'}),
        ('linear', 'lora', {'tuners'}),
        ('pup', 'davpt', {'prompts', 'auxiliary_head'}),
    ],
)
def test_rows_of_frozen_vits(vit, head, method, trained):
    rows = read_table(ROOT / 'experiments/dino_ade20k.csv')
    cfg = build_config(rows[f'{vit}_{head}_{method}'])
    assert not check(cfg)
    model = build_model(cfg)
    assert trained_parts(model) == {'decode_head'} | trained
    assert (model.guidance is not None) == (method == 'davpt')
    name = cfg.model.backbone.model_name
    declared = timm.get_pretrained_cfg(name)
    assert name in timm.list_pretrained(name)
    assert cfg.model.backbone.init_cfg.checkpoint == f'timm://{name}'
    preprocessor = cfg.model.data_preprocessor
    for key in ('mean', 'std'):
        scaled = [255 * value for value in getattr(declared, key)]
        assert preprocessor[key] == pytest.approx(scaled)
    backbone = model.backbone
    size = 518 if backbone.patch_size == (14, 14) else 512
    assert size % backbone.patch_size[0] == 0
    assert preprocessor.size == (size, size) == cfg.model.test_cfg.crop_size
    crop = cfg.train_dataloader.dataset.pipeline[3]
    assert (crop.type, crop.crop_size) == ('RandomCrop', (size, size))
    # No window of a test image is padded.
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[1].scale == (4 * size, size)
    assert cfg.train_dataloader.dataset.pipeline[2].scale == (4 * size, size)
    resizes, flips, _, _ = cfg.tta_pipeline[1].transforms
    assert [r.scale[1] / size for r in resizes] == pytest.approx(
        (0.5, 0.75, 1.0, 1.25, 1.5, 1.75), abs=1e-2
    )
    assert len(flips) == 2
    assert backbone.embed_dims == model.decode_head.in_channels
    assert len(backbone.layers) == cfg.vit.num_layers
    last = len(backbone.layers) - 1
    assert backbone.out_indices[-1] == last
    assert backbone.final_norm == (head == 'linear')
    assert len(rows) == 12 and cfg.train_cfg.max_iters == 40_000


def test_both_configs_have_the_same_heads():
    """Configs are one file each, so one cannot take them from the other."""
    texts = [
        CONFIGS[name].read_text('utf-8')
        for name in ('dino/ade20k.py', 'recommended/segmentation.py')
    ]
    ours, theirs = (
        re.search(r'\n# Heads on .*\nparts = ', text, re.S)[0]
        for text in texts
    )
    assert ours == theirs


@pytest.mark.parametrize('batch, factor', [(32, 1), (8, 0.5), (128, 2)])
def test_recommended_rate_follows_the_batch_unless_it_is_set(batch, factor):
    path = str(CONFIGS['recommended/classification.py'])
    high = ('davpt-plus', 'linear', 'E2VPT', 'mp')
    # A tuner's type is the same method as its short name.
    high += ('adaptformer', 'AdaptFormer')
    low = ('lora', 'LoRA', 'SSF', 'mp-plus')
    rates = dict.fromkeys(high, 5e-3) | dict.fromkeys(low, 1e-3)
    rates['full'] = 2e-5
    for method, rate in rates.items():
        cfg = load_config(path, dict(method=method, batch_size=batch))
        assert cfg.optim_wrapper.optimizer.lr == pytest.approx(rate * factor)
    cfg = load_config(path, dict(lr=0.3, batch_size=batch))
    assert cfg.optim_wrapper.optimizer.lr == 0.3


@pytest.mark.parametrize(
    'method, rate',
    [('davpt-plus', 5e-3), ('LoRA', 3e-3), ('SSF', 1e-3), ('full', 5e-5)],
)
def test_recommended_rates_of_segmentation_are_for_16_crops(method, rate):
    path = str(CONFIGS['recommended/segmentation.py'])
    for batch, factor in [(16, 1), (4, 0.5)]:
        cfg = load_config(path, dict(method=method, batch_size=batch))
        assert cfg.optim_wrapper.optimizer.lr == pytest.approx(rate * factor)


@pytest.mark.parametrize(
    'epochs, interval', [(1, 1), (9, 1), (100, 10), (105, 10)]
)
def test_recommended_run_ends_with_a_checkpoint(epochs, interval):
    path = str(CONFIGS['recommended/classification.py'])
    cfg = load_config(path, dict(max_epochs=epochs))
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.train_cfg.val_interval == interval
    assert cfg.default_hooks.checkpoint.interval == interval


def test_segmentor_takes_the_class_count_once():
    cfg = copy.deepcopy(load('recommended/segmentation.py'))
    cfg.model.num_classes = 3
    cfg.model.auxiliary_head[0].num_classes = 4
    model = build_model(cfg)
    heads = [model.decode_head, *model.auxiliary_head]
    assert [h.num_classes for h in heads] == [3, 4, 3, 3]


def splits_of(cfg: Config) -> dict:
    return {
        split: cfg[f'{split}_dataloader'].dataset.split
        for split in ('train', 'val', 'test')
        if cfg.get(f'{split}_dataloader') is not None
    }


@pytest.mark.parametrize(
    'suite, row',
    [
        ('vtab', 'davpt-plus_vit-b-mae_vtab-patch_camelyon'),
        ('fgvc', 'davpt_vit-b-moco-v3_flowers'),
    ],
)
def test_protocols_choose_the_images(suite, row):
    cfg = build_config(read_table(ROOT / f'experiments/{suite}.csv')[row])
    whole, part, held_out = (
        ('train800val200', 'train800', 'val200')
        if suite == 'vtab'
        else ('trainval', 'train', 'val')
    )
    expected = {
        'tune': dict(train=part, val=held_out, test='test'),
        'retrain': dict(train=whole, test='test'),
        'released': dict(
            train=whole if suite == 'vtab' else part, val='test', test='test'
        ),
    }
    assert set(cfg.protocols) == set(expected) and cfg.protocol == 'retrain'
    assert splits_of(cfg) == expected['retrain']
    task = row.split('-')[-1] if suite == 'vtab' else 'flowers'
    for protocol, splits in expected.items():
        applied = with_protocol(cfg, protocol)
        check(applied)
        assert splits_of(applied) == splits
        chooses = 'save_best' in applied.default_hooks.checkpoint
        assert chooses == ('val' in splits) == ('val_cfg' in applied)
        warning = selection_warning(applied)
        assert (warning is not None) == (protocol == 'released')
        for split in splits:
            dataset = applied[f'{split}_dataloader'].dataset
            assert dataset.get('task', dataset.get('name')) == task
    assert with_protocol(cfg, 'released').train_cfg.val_begin == 60


@pytest.mark.parametrize('name', [CUB, CIFAR])
def test_classification_follows_the_paper(name):
    cfg = load(name)
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.train_dataloader.batch_size == 32
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.end, cosine.begin, cosine.eta_min) == (10, 10, 1e-8)
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.data_preprocessor.mean == [123.675, 116.28, 103.53]
    # VTAB-1k images are resized only.
    kinds = [t.type for t in cfg.train_pipeline]
    augmented = 'RandomFlip' in kinds or 'RandomResizedCrop' in kinds
    assert augmented == (name == CUB)


def test_vtab_readme_trains_released_parameters():
    row = read_table(ROOT / 'experiments/fgvc.csv')[
        'davpt-plus_vit-b-in21k_cub'
    ]
    cfg = build_config(row)
    text = (ROOT / 'vtab/README.md').read_text(encoding='utf-8')
    patterns = text.split('model.backbone.trainable="')[1].split('"')[0]
    cfg.model.backbone.trainable = ast.literal_eval(patterns)
    # K and V bias of 12 layers; three biases, and a norm's weight and bias;
    # [CLS].
    count = trainable_count(build_model(cfg)) - CUB_COUNT
    assert count == 12 * 2 * 768 + 12 * 5 * 768 + 768


def test_every_base_config_is_inherited():
    used = set()
    for path in CONFIGS.values():
        pending = [path]
        while pending:
            text = (current := pending.pop()).read_text(encoding='utf-8')
            found = [
                (current.parent / base).resolve()
                for base in re.findall(r"'((?:\.{1,2}/)+[\w/.-]+\.py)'", text)
            ]
            pending += [base for base in found if base not in used]
            used |= set(found)
    bases = {p.resolve() for p in (ROOT / '_base_').rglob('*.py')}
    assert bases <= used
