"""Variables of a config are replaced in its source."""

import pytest
from mmengine.config import Config

from mmdavpt.config_source import (
    base_files,
    find_variables,
    format_literal,
    load_with_variables,
    replace_variables,
)
from mmdavpt.errors import UsageError

SOURCE = """# é: columns count characters
lr = 1e-3  # tune it first
name, size = 'ä', 3; pair = [
    1,
    2,
]  # of numbers
twice = 1
twice = 2
model = dict(lr=lr, pair=pair, folder='{{ fileDirname }}/x')
"""


def test_values_change_and_everything_else_stays():
    text = replace_variables(SOURCE, dict(lr=0.5, pair=[3]))
    assert text == SOURCE.replace('1e-3', '0.5').replace(
        '[\n    1,\n    2,\n]', '[3]'
    )
    assert set(find_variables(SOURCE)) == {'lr', 'pair', 'model'}


@pytest.mark.parametrize('name', ['name', 'twice', 'lrr'])
def test_what_is_no_variable(name):
    with pytest.raises(UsageError, match=f'no variable {name!r}'):
        replace_variables(SOURCE, {name: 3})


@pytest.mark.parametrize(
    'value',
    [
        [],
        {},
        {0: 0, 255: 1},
        dict(data_prefix=dict(a='x' * 40, b=''), ann_file='{{ x }}/y'),
        [f'class {k}, "quoted"' for k in range(40)],
        [[k, k, k] for k in range(30)],
        dict(a=[dict(b='x' * 50, c='y' * 50), 'a\nb']),
    ],
)
def test_literals_fit_the_lines_and_keep_their_value(value):
    text = format_literal(value, len('long_name = '))
    assert eval(text) == value
    assert max(map(len, text.splitlines())) <= 79


def test_config_is_loaded_in_its_own_folder(tmp_path):
    (tmp_path / 'base.py').write_text('model = dict(depth=2)\nx = 1\n')
    path = tmp_path / 'own.py'
    path.write_text("_base_ = ['base.py']\n" + SOURCE, encoding='utf-8')
    cfg = load_with_variables(path, dict(lr=2.0))
    folder = str(tmp_path.resolve())
    assert cfg.model == dict(
        depth=2, lr=2.0, pair=[1, 2], folder=f'{folder}/x'
    )
    assert cfg.filename == str(path.resolve())
    assert load_with_variables(path, {}).model == Config.fromfile(path).model
    assert base_files(path) == [tmp_path / 'base.py']
