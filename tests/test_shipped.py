"""Names of the shipped configs, in mmengine, MMPretrain and the commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import mmpretrain
import pytest
import yaml
from mmengine.config import Config
from mmengine.hub import get_config

import mmdavpt
from mmdavpt.cli import options, train
from mmdavpt.cli.common import load_config
from mmdavpt.cli.experiment_table import build_config, read_table
from mmdavpt.cli.messages import run_command
from mmdavpt.errors import UsageError
from mmdavpt.shipped import CONFIGS, TOOLS, locate_config

ROOT = Path(__file__).parents[1]
GLYPHS = 'mmdavpt::glyphs/davpt_glyphs.py'


@pytest.fixture
def child(tmp_path):
    """Return a config that inherits from a shipped one by its name."""
    path = tmp_path / 'child.py'
    path.write_text(f'_base_ = [{GLYPHS!r}]\nrandomness = dict(seed=3)\n')
    return path


def test_names_are_paths_below_the_configs():
    assert CONFIGS == ROOT / 'configs' and TOOLS == ROOT / 'tools'
    assert locate_config(GLYPHS) == str(ROOT / 'configs' / GLYPHS[9:])
    assert locate_config('a/b.py') == 'a/b.py'
    argv = [GLYPHS, '--amp']
    args = options.parse_arguments(train.add_arguments, argv)
    assert args.config == locate_config(GLYPHS) and args.command == argv


def test_a_base_by_name_is_a_base_by_path(child):
    mmdavpt.register_configs()
    by_name, by_path = (
        Config.fromfile(child),
        Config.fromfile(CONFIGS / GLYPHS[9:]),
    )
    by_path.randomness.seed = 3
    # mmengine would add the scope of another package's config.
    assert by_name.to_dict() == by_path.to_dict()


def test_commands_read_and_check_a_base_by_name(child):
    assert load_config(str(child)).randomness.seed == 3
    child.write_text(f'_base_ = {GLYPHS!r}\nnum_prompts = 3\n')
    with pytest.raises(UsageError, match='its base file is evaluated first'):
        load_config(str(child))


def test_a_missing_config_has_a_sentence(capsys):
    with pytest.raises(SystemExit):
        run_command(train, ['mmdavpt::glyphs/davpt_glyph.py'])
    assert 'configs/glyphs/davpt_glyphs.py' in capsys.readouterr().err


def test_a_users_table_changes_shipped_configs(tmp_path):
    table = tmp_path / 'mine.csv'
    table.write_text(f'row,base,lr,randomness.seed\na,{GLYPHS},0.5,\n')
    cfg = build_config(read_table(table)['a'], seed=7)
    assert cfg.optim_wrapper.optimizer.lr == 0.5 and cfg.randomness.seed == 7


def test_hub_finds_listed_and_other_configs():
    mmdavpt.register_configs()
    for name in (GLYPHS[:-3], 'mmdavpt::recommended/segmentation.py'):
        name = name if name.endswith('.py') else f'{name}.py'
        assert get_config(name).model.type.startswith('mmdavpt.')


def test_mmpretrain_lists_and_builds_the_classifiers():
    mmdavpt.register_configs()
    mmdavpt.register_configs()  # again changes nothing
    models = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())['Models']
    names = {model['Name'] for model in models}
    assert names <= {*mmpretrain.list_models(task='Image Classification')}
    for model in models:
        cfg = Config.fromfile(ROOT / model['Config'])
        assert cfg.model.type == 'mmdavpt.DAVPTImageClassifier'
    built = mmpretrain.get_model('davpt_vit-t_glyphs')
    assert type(built).__name__ == 'DAVPTImageClassifier'


def test_other_packages_names_are_left_to_mmengine(tmp_path):
    mmdavpt.register_configs()
    path = tmp_path / 'other.py'
    path.write_text("_base_ = 'mmpretrain::_base_/default_runtime.py'\n")
    assert Config.fromfile(path).default_scope == 'mmpretrain'


def test_completion():
    sys.path.insert(0, str(TOOLS))
    try:
        from complete import complete
    finally:
        sys.path.remove(str(TOOLS))
    assert complete('mmdavpt tr', 'tr') == ['train']
    assert {'train', 'doctor', 'dist_train'} <= {*complete('mmdavpt ', '')}
    assert complete('mmdavpt train --res', '--res') == ['--resume']
    assert complete('mmdavpt train colors', 'colors') == []
    assert complete('mmdavpt train ', '') == []
    assert complete('mmdavpt nothing --x', '--x') == []


def test_bash_completes(tmp_path):
    """Bash passes what `complete` reads."""
    program = tmp_path / 'mmdavpt'
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mmdavpt "$@"\n')
    program.chmod(0o755)
    script = (
        f'PATH={tmp_path}:$PATH; export COMP_LINE="mmdavpt sel"\n'
        "compgen -C 'mmdavpt complete' sel"
    )
    done = subprocess.run(
        ['bash', '-c', script], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.split() == ['select', 'select_parameters']


def test_the_program_in_the_readme_of_the_configs(tmp_path):
    text = (ROOT / 'configs/README.md').read_text(encoding='utf-8')
    (program,) = re.findall('```python\n(.*?)```', text, re.S)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert 'davpt_vit-b-dinov2' in done.stdout
