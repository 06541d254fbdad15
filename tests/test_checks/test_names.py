"""Names that change nothing are errors."""

import re

import pytest
from mmengine.config import Config

from mmdavpt.checks.names import read_config, set_option
from mmdavpt.errors import UsageError

BASE = """
lr = 1e-3
num_prompts = 10
width = 1  # of A
model = dict(
    type='A', backbone=dict(num_prompts=num_prompts), parts=[dict(), width])
optim_wrapper = dict(optimizer=dict(type='SGD', lr=lr))
"""


def read(folder, text, base=BASE):
    (folder / 'base.py').write_text(base)
    path = folder / 'child.py'
    path.write_text(text, encoding='utf-8')
    return read_config(str(path))


INHERIT = "_base_ = 'base.py'\n"


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('lr = 1e-2', '`lr`, which changes .*`optim_wrapper.optimizer.lr`'),
        ('num_prompts = 50', '; set `model.backbone.num_prompts`'),
        ('lr = 1e-2\nnum_prompts = lr', 'sets `num_prompts`'),
        ('num_prompts: int = 50', '; set `model.backbone.num_prompts`'),
        ('lr, x = 1e-2, 3', '; set `optim_wrapper.optimizer.lr`'),
        ('if True:\n    lr = 1e-2', '; set `optim_wrapper.optimizer.lr`'),
        ('worl_dir = 1', 'did you mean `work_dir`'),
        # No key has the name of this variable of the base.
        ('width = 2', 'evaluated first; copy the base .*`width` there'),
        ('lr = 1e-2', '`optim_wrapper.optimizer.lr`, or copy the base file'),
    ],
)
def test_variables_that_change_nothing(tmp_path, text, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(tmp_path, INHERIT + text)


def test_other_unused_variables_are_warnings(tmp_path, capsys):
    read(tmp_path, INHERIT + 'foo = 1')
    assert 'sets `foo`, which changes nothing\n' in capsys.readouterr().err


@pytest.mark.parametrize(
    'text',
    [
        'lr = 1e-3',  # as in the key of that name
        'lr = 1e-2\noptim_wrapper = dict(optimizer=dict(lr=lr))',
        'a = _base_.lr\nb = a * 2\noptim_wrapper = dict(optimizer=dict(lr=b))',
        "work_dir = 'x'\ntest_pipeline = []",
        'for i in (1, 2):\n    pass',
    ],
)
def test_variables_that_are_used(tmp_path, text):
    cfg = read(tmp_path, INHERIT + text)
    cfg.dump(str(tmp_path / 'dump.py'))
    assert read_config(str(tmp_path / 'dump.py')).model == cfg.model


def test_a_misspelt_key_without_a_base(tmp_path):
    with pytest.raises(UsageError, match='did you mean `load_from`'):
        read(tmp_path, 'lod_from = 3')
    with pytest.raises(UsageError, match='did you mean `default_hooks`'):
        read(tmp_path, 'default_hookss = 3')
    assert read(tmp_path, 'anything = 3').anything == 3


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('model = dict(', 'line 1: .*never closed'),
        ('a = 1\nb = 1 / 0', r'line 2: division by zero \(ZeroDiv'),
        ("_base_ = 'gone.py'", 'gone.py'),
    ],
)
def test_files_that_cannot_be_read(tmp_path, text, sentence):
    with pytest.raises(
        UsageError, match=f'child.py cannot be read: .*{sentence}'
    ):
        read(tmp_path, text, 'model = dict(type="A")')


@pytest.mark.parametrize(
    'key, sentence',
    [
        ('worl_dir', 'no run reads `worl_dir`; did you mean `work_dir`'),
        ('lr', 'no run reads `lr`; set `optim_wrapper.optimizer.lr`'),
        ('model.parts.3.x', 'list'),
        ('model.parts.x.y', 'list indices'),
        ('model.backbone.num_prompts.x', 'num_prompts|int'),
    ],
)
def test_options_that_cannot_be_set(tmp_path, key, sentence):
    cfg = read(tmp_path, BASE)
    with pytest.raises(UsageError, match=f'--cfg-options {key}: .*{sentence}'):
        set_option(cfg, key, 1)


def test_options_with_an_effect(tmp_path):
    cfg = Config(dict(model=dict(parts=[dict(a=1)])))
    for key in ('model.parts.0.a', 'model.new.deep', 'work_dir', 'tta_model'):
        set_option(cfg, key, 2)
    assert cfg.model == dict(parts=[dict(a=2)], new=dict(deep=2))


def test_counters_of_loops_are_no_settings(tmp_path, capsys):
    loops = 'for _ in range(2):\n    pass\nother = [1 for _ in range(2)]\n'
    read(tmp_path, INHERIT + loops)
    assert re.findall('sets `([^`]+)`', capsys.readouterr().err) == ['other']
