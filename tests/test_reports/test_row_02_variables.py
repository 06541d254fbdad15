"""A child of a config sets a variable of its base, or an option does.

The base was evaluated before, so `lr = 1e-2` in a child was ignored without a
word [mmdet #10891]. It is an error that names the key; the option takes
effect wherever the file reads the variable.
"""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdavpt.cli.common import load_config
from mmdavpt.errors import UsageError

CONFIGS = Path(__file__).parents[2] / 'configs'
CLASSIFICATION = 'recommended/classification.py'
SCENES = 'glyphs/setr_davpt_glyphs.py'
RATE, PROMPTS = 'optim_wrapper.optimizer.lr', 'model.backbone.num_prompts'
BATCH = 'train_dataloader.batch_size'
CASES = [
    (CLASSIFICATION, 'lr', 1e-2, [RATE]),
    (CLASSIFICATION, 'num_prompts', 50, [PROMPTS]),
    (CLASSIFICATION, 'max_epochs', 7, ['train_cfg.max_epochs']),
    (CLASSIFICATION, 'batch_size', 5, [BATCH, 'val_dataloader.batch_size']),
    (CLASSIFICATION, 'num_classes', 9, ['model.head.num_classes']),
    (CLASSIFICATION, 'seed', 3, ['randomness.seed', 'custom_hooks.1.seed']),
    (SCENES, 'lr', 1e-2, [RATE]),
    (SCENES, 'num_prompts', 50, [PROMPTS]),
    (
        SCENES,
        'max_iters',
        20,
        ['train_cfg.max_iters', 'train_cfg.val_interval'],
    ),
    (SCENES, 'batch_size', 5, [BATCH]),
    (SCENES, 'num_classes', 9, ['model.num_classes']),
]


def value_of(cfg, key):
    node = cfg
    for part in key.split('.'):
        node = node[int(part) if part.isdigit() else part]
    return node


@pytest.mark.parametrize('base, name, value, keys', CASES)
def test_child_is_told_which_key_to_set(tmp_path, base, name, value, keys):
    child = tmp_path / 'child.py'
    child.write_text(f'_base_ = {str(CONFIGS / base)!r}\n{name} = {value}\n')
    sentence = f'`{name}`, which changes nothing, .*; set .*`{keys[0]}`'
    with pytest.raises(UsageError, match=f'{sentence}.*copy the base file'):
        load_config(str(child))


def test_child_is_told_about_variables_without_a_key(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(
        f"_base_ = {str(CONFIGS / CLASSIFICATION)!r}\nmethod = 'lora'\n"
    )
    with pytest.raises(UsageError, match='copy the base .* change `method`'):
        load_config(str(child))


@pytest.mark.parametrize('base, name, value, keys', CASES)
def test_option_takes_effect_wherever_it_is_read(base, name, value, keys):
    path = str(CONFIGS / base)
    before, cfg = Config.fromfile(path), load_config(path, {name: value})
    for key in keys:
        assert value_of(cfg, key) == value != value_of(before, key)
    assert cfg.filename == path


def test_what_depends_on_a_variable_follows():
    path = str(CONFIGS / CLASSIFICATION)
    cfg = load_config(path, dict(size=112, **{'model.backbone.img_size': 28}))
    crop, resize = cfg.train_pipeline[1], cfg.test_pipeline[1]
    assert (crop.scale, resize.scale) == (112, 128)
    assert cfg.model.backbone.img_size == 28  # keys come last


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(sizee=3), 'no run reads `sizee`'),
        ({'arch.num_heads': 3}, 'no run reads `arch`'),
    ],
)
def test_options_without_effect(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        load_config(str(CONFIGS / CLASSIFICATION), options)


def test_variable_of_a_dump_is_no_setting(tmp_path):
    path = tmp_path / 'dump.py'
    Config.fromfile(CONFIGS / CLASSIFICATION).dump(path)
    with pytest.raises(UsageError, match=f'`lr`; set `{RATE}`'):
        load_config(str(path), dict(lr=3))
    assert load_config(str(path), {RATE: 3}).optim_wrapper.optimizer.lr == 3


def test_keys_of_a_run_are_merged_as_before(tmp_path):
    path = tmp_path / 'own.py'
    path.write_text(
        'train_cfg = dict(by_epoch=True, max_epochs=3)\n'
        'model = dict(depth=train_cfg)\n'
    )
    cfg = load_config(str(path), {'train_cfg': dict(max_epochs=5)})
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=5)
    assert cfg.model.depth.max_epochs == 3
