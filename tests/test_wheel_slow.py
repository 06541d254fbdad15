"""Build the wheel, install it outside of the clone, and use all of it."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.test_cli.test_folder_config import write_photos, write_scenes

ROOT = Path(__file__).parents[1]
SOURCES = (
    *('mmdavpt', 'configs', 'tools', 'checkpoints', 'requirements'),
    *('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'),
    'model-index.yml',
)
SMALL = '--arch dict(num_heads=4) --epochs 1 --size 32 --batch 2'.split()

pytestmark = pytest.mark.slow


def run(*command, cwd, status=0):
    """Run a command without this clone on the path, and return its output."""
    environment = {**os.environ, 'PYTHONWARNINGS': 'ignore'}
    environment.pop('PYTHONPATH', None)
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    output = done.stdout + done.stderr
    assert done.returncode == status, output[-3000:]
    return output


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Build a source distribution, and a wheel from what it holds."""
    folder = tmp_path_factory.mktemp('build')
    clone = folder / 'clone'
    clone.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name,
                clone / name,
                symlinks=True,
                ignore=shutil.ignore_patterns('__pycache__'),
            )
        else:
            shutil.copy(ROOT / name, clone)
    # Weights that a user put there do not go into the wheel.
    (clone / 'checkpoints/other.pth').write_text('')
    setup = [sys.executable, 'setup.py', '-q']
    run(*setup, 'sdist', '-d', folder, '--formats=gztar', cwd=clone)
    (archive,) = folder.glob('*.tar.gz')
    shutil.unpack_archive(archive, folder / 'unpacked')
    (unpacked,) = (folder / 'unpacked').iterdir()
    run(*setup, 'bdist_wheel', '-d', folder, cwd=unpacked)
    (built,) = folder.glob('*.whl')
    return built


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """Install the wheel into a new environment; return its programs."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, with_pip=True, symlinks=True)
    programs = folder / 'bin'
    pip = [programs / 'python', '-m', 'pip', '--disable-pip-version-check']
    run(*pip, 'install', '-q', '--no-deps', '--no-index', wheel, cwd=folder)
    scheme = dict(base=str(folder), platbase=str(folder))
    site = Path(sysconfig.get_path('purelib', vars=scheme))
    # The dependencies of this environment, but not its editable installs.
    dependencies = Path(sysconfig.get_path('purelib'))
    (site / 'dependencies.pth').write_text(f'{dependencies}\n')
    shutil.copy(dependencies / 'distutils-precedence.pth', site)
    return programs


def test_wheel_holds_all_configs_and_tools(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*.*'):
            if path.suffix in ('.py', '.csv', '.json', '.sh', '.yml'):
                name = path.relative_to(ROOT).as_posix()
                assert f'mmdavpt/.mim/{name}' in names
    others = {
        *('model-index.yml', 'checkpoints/vit-tiny_glyphs.pth'),
        *('../py.typed', '../cli/data_report/page.html.jinja'),
        *('../datasets/fgvc.csv', '../models/pretrained/names.csv'),
    }
    for name in others:
        assert os.path.normpath(f'mmdavpt/.mim/{name}') in names
    assert not [n for n in names if n.endswith(('.pyc', 'other.pth'))]
    assert {name.partition('/')[0].partition('-')[0] for name in names} == {
        'mmdavpt'
    }


def test_the_installed_package_is_what_runs(installed, tmp_path):
    python = installed / 'python'
    program = (
        'import mmdavpt, sys; mmdavpt.register_configs(); import mmpretrain; '
        'from mmengine.hub import get_config; '
        "print('path', mmdavpt.__file__); "
        "print(mmpretrain.list_models('davpt_vit-t_glyphs')); "
        "print(get_config('mmdavpt::recommended/segmentation.py').filename)"
    )
    out = run(python, '-c', program, cwd=tmp_path)
    folder = re.search('path (.*)/__init__.py', out)[1]
    assert folder.startswith(str(installed.parent))
    assert "['davpt_vit-t_glyphs']" in out
    assert f'{folder}/.mim/configs/recommended/segmentation.py' in out
    assert str(ROOT) not in out.replace(sysconfig.get_path('purelib'), '')
    out = run(python, '-m', 'mmdavpt', '--help', cwd=tmp_path)
    for name in ('train', 'test', 'check', 'experiment', 'select', 'doctor'):
        assert re.search(rf'^  {name} ', out, re.M)


def test_classification_of_a_folder(installed, tmp_path):
    write_photos(tmp_path / 'colors')
    mmdavpt = installed / 'mmdavpt'
    weights = tmp_path / 'weights.pth'
    shutil.copy(ROOT / 'checkpoints/vit-tiny_glyphs.pth', weights)
    run(mmdavpt, 'check', 'colors', '--data-only', cwd=tmp_path)
    run(mmdavpt, 'train', 'colors', '--weights', weights, *SMALL, cwd=tmp_path)
    config = 'work_dirs/colors/colors.py'
    out = run(mmdavpt, 'doctor', config, cwd=tmp_path, status=0)
    assert out.endswith('no problems\n')
    child = tmp_path / 'child.py'
    child.write_text(f'_base_ = {config!r}\n')
    checkpoint = 'work_dirs/colors/epoch_1.pth'
    out = run(mmdavpt, 'test', 'child.py', checkpoint, cwd=tmp_path)
    assert re.search(r'^top-1 \d+\.\d\d$', out, re.M)


def test_segmentation_of_a_folder(installed, tmp_path):
    write_scenes(tmp_path / 'ink')
    mmdavpt = installed / 'mmdavpt'
    weights = tmp_path / 'weights.pth'
    shutil.copy(ROOT / 'checkpoints/vit-tiny_glyphs.pth', weights)
    run(mmdavpt, 'train', 'ink', '--weights', weights, *SMALL, cwd=tmp_path)
    config, checkpoint = 'work_dirs/ink/ink.py', 'work_dirs/ink/epoch_1.pth'
    out = run(mmdavpt, 'test', config, checkpoint, '--tta', cwd=tmp_path)
    assert re.search(r'^mIoU-MS \d+\.\d\d', out, re.M)


def test_configs_tables_and_tools_by_name(installed, tmp_path):
    mmdavpt = installed / 'mmdavpt'
    own = tmp_path / 'own.py'
    own.write_text(
        "_base_ = 'mmdavpt::glyphs/davpt_glyphs.py'\n"
        'randomness = dict(seed=3)\n'
    )
    for config in ('own.py', 'mmdavpt::glyphs/vpt_glyphs.py'):
        run(mmdavpt, 'train', config, '--check-only', cwd=tmp_path)
    table = ['mmdavpt::experiments/glyphs_paper.csv', '--rows', 'token']
    out = run(mmdavpt, 'experiment', *table, '--dry-run', cwd=tmp_path)
    assert out == 'work_dirs/glyphs_paper/token/seed_0 pending\n'
    tool = 'dataset_converters/glyphs'
    run(mmdavpt, tool, 'ade20k', 'scenes', '--help', cwd=tmp_path)
    out = run(mmdavpt, 'dist_train.sh', cwd=tmp_path, status=2)
    assert out == 'usage: dist_train.sh CONFIG GPUS [arguments of train.py]\n'
    processes = ['dist_train', 'own.py', 2, '--check-only']
    run(mmdavpt, *processes, cwd=tmp_path)
