"""What is wrong with a config file, as sentences."""

import pytest

from mmdavpt.checks.config.config_file import read_config
from mmdavpt.errors import UsageError


def write(folder, **files):
    for name, text in files.items():
        (folder / f'{name}.py').write_text(text)
    return str(folder / f'{next(iter(files))}.py')


@pytest.mark.parametrize(
    'text,sentence',
    [
        ('a = (1,\n', r'leaf.py is no Python: line 1: .* in `a = \(1,`'),
        ('_base_ = "./gone.py"', r'leaf.py inherits .*gone.py .* no such'),
        ('x = 1\n_base_ = [x]', r'leaf.py should give `_base_` as a path'),
        ('model = dict()\na = b.c', r'leaf.py, line 2: name .b. is not'),
        ('a = {}["k"]', r"leaf.py, line 1: 'k' \(KeyError\)"),
        ('train_cgf = dict()', r'sets `train_cgf`, .* mean `train_cfg`'),
        ('lr_config = dict()', r'`lr_config`, .* mmcv 1 .*param_scheduler'),
        ('_base_ = "base.py"\nlr = 2', r'leaf.py sets `lr`, .*base.py'),
        ('_base_ = "base.py"\ntrain_cfg = 3', None),
        ('_base_ = "base.py"\nmodel = [dict(a=1)]', None),
        ('_base_ = "broken.py"', r'broken.py is no Python: line 2'),
        ('_base_ = "failing.py"', r'failing.py, line 3: division by zero'),
    ],
)
def test_mistakes(tmp_path, text, sentence):
    path = write(
        tmp_path,
        leaf=text,
        base='lr = 1\noptim_wrapper = dict(lr=lr)\n',
        broken='a = 1\nb = = 2\n',
        failing='a = 0\n\nb = 1 / a\n',
    )
    if sentence is None:
        read_config(path)
        return
    with pytest.raises(UsageError, match=sentence):
        read_config(path)


def test_a_dump_has_variables_that_were_replaced(tmp_path):
    path = write(
        tmp_path,
        leaf="""
_base_ = 'base.py'
optim_wrapper = dict(_delete_=True, optimizer=dict(type='SGD', lr=1))
val_dataloader = dict(dataset=dict(pipeline=[]))
""",
        base="""
optimizer = dict(type='AdamW', lr=2)
test_pipeline = [dict(type='PackInputs')]
optim_wrapper = dict(optimizer=optimizer)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
""",
    )
    cfg = read_config(path)
    cfg.dump(str(tmp_path / 'dump.py'))
    assert read_config(str(tmp_path / 'dump.py')).optimizer.lr == 2
    # Not where it is meant to replace what the run reads.
    late = write(tmp_path, late="_base_ = 'dump.py'\noptimizer = dict(lr=3)")
    with pytest.raises(UsageError, match='sets `optimizer`'):
        read_config(late)


def test_variables_are_free_where_they_are_used(tmp_path):
    path = write(
        tmp_path,
        leaf="""
_base_ = 'base.py'
optimizer = dict(lr=_base_.lr)  # a key of mmcv 1, here a variable
lr = 2
train_config = 3
optim_wrapper = dict(optimizer=optimizer, lr=lr, n=train_config)
""",
        base='lr = 1\noptim_wrapper = dict(lr=lr)\n',
    )
    cfg = read_config(path)
    assert cfg.optim_wrapper == dict(lr=2, optimizer=dict(lr=1), n=3)
    # A dump has the values, and no expression that reads the names.
    dump = tmp_path / 'dump.py'
    cfg.dump(str(dump))
    assert read_config(str(dump)).optim_wrapper == cfg.optim_wrapper


def test_a_base_in_a_package_is_for_the_host_to_find(tmp_path):
    base = 'mmpretrain::_base_/default_runtime.py'
    cfg = read_config(write(tmp_path, leaf=f"_base_ = '{base}'"))
    assert cfg.default_scope == 'mmpretrain'
