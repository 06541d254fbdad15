"""Installation: dependencies, versions, and the set-up of make."""

import importlib
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import mmdavpt
from mmdavpt.dependencies import (
    REPLACED,
    REQUIRED,
    check_dependencies,
    installed_versions,
)

ROOT = Path(__file__).parent.parent
GOOD = {name: '1.0' for name in REQUIRED}


def test_installed_dependencies_are_accepted():
    assert set(installed_versions()) >= set(REQUIRED)
    check_dependencies(installed_versions())
    check_dependencies({**GOOD, 'numpy': '2.0', 'mmdet': '3.3'})


@pytest.mark.parametrize('name', REPLACED)
def test_original_distributions_are_rejected_with_commands(name):
    new = REPLACED[name]
    with pytest.raises(ImportError) as error:
        check_dependencies({**GOOD, name: '1.7.1'})
    message = str(error.value)
    assert f'{name} 1.7.1 of the original OpenMMLab line' in message
    assert f'`pip uninstall -y {name} {new}`' in message
    assert f'`pip install {new}`' in message


@pytest.mark.parametrize(
    'versions, message',
    [
        (
            {**GOOD, 'mmcv': '2.2.0', 'mmengine': '0.10.4'},
            'onedl-mmengine and onedl-mmcv, but mmengine 0.10.4, mmcv 2.2.0 '
            'of the original.*`pip uninstall -y mmengine mmcv onedl-mmengine '
            'onedl-mmcv`',
        ),
        (
            {k: v for k, v in GOOD.items() if k != 'onedl-mmcv'},
            'onedl-mmcv is not installed. Run `pip install onedl-mmcv`',
        ),
        ({}, 'onedl-mmengine and onedl-mmcv'),
    ],
)
def test_several_wrong_dependencies(versions, message):
    with pytest.raises(ImportError, match=message):
        check_dependencies(versions)


def test_packages_that_break_the_import_of_mmpretrain():
    both = {**GOOD, 'pycocotools': '2.0.11', 'transformers': '5.24.0'}
    with pytest.raises(ImportError, match='uninstall -y pycocotools'):
        check_dependencies(both)
    check_dependencies({**both, 'transformers': '4.57.1'})
    both.pop('pycocotools')
    check_dependencies(both)


def test_an_original_distribution_stops_the_import(tmp_path):
    folder = tmp_path / 'mmcv-2.2.0.dist-info'
    folder.mkdir()
    (folder / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: mmcv\nVersion: 2.2.0\n'
    )
    code = (
        f'import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n'
        'import mmdavpt'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert 'ImportError: mmdavpt needs onedl-mmcv, but mmcv 2.2.0 of' in (
        done.stderr
    )


def test_the_package_itself_imports_no_library():
    code = (
        f'import sys; sys.path.insert(0, {str(ROOT)!r})\n'
        'import mmdavpt\n'
        "print({'torch', 'mmengine', 'mmseg'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == 'set()'


def test_changelog_has_an_entry_for_the_version():
    assert re.fullmatch(r'\d+\.\d+\.\d+', mmdavpt.__version__)
    text = (ROOT / 'CHANGELOG.md').read_text()
    date = str(
        yaml.safe_load((ROOT / 'CITATION.cff').read_text())['date-released']
    )
    assert f'## {mmdavpt.__version__} - {date}\n' in text


def test_pinned_versions_cover_the_requirements_without_an_index():
    pinned = (ROOT / 'requirements' / 'tested.txt').read_text()
    names = set(re.findall(r'^([\w.-]+)==', pinned, flags=re.MULTILINE))
    wanted = (ROOT / 'requirements' / 'tested.in').read_text()
    for line in wanted.splitlines():
        if line and not line.startswith('#'):
            assert line in names
    assert '://' not in pinned
    assert not re.search(r'^\s*-', pinned, flags=re.MULTILINE)


def test_ranges_in_setup_include_the_tested_versions():
    packaging = pytest.importorskip('packaging.requirements')
    setup = (ROOT / 'setup.py').read_text()
    block = setup.split('install_requires=[')[1].split(']')[0]
    for text in re.findall(r"'([^']+)'", block):
        requirement = packaging.Requirement(text)
        version = metadata.version(requirement.name)
        assert requirement.specifier.contains(version), text


def test_console_script_exists():
    setup = (ROOT / 'setup.py').read_text()
    (target,) = re.findall(r"'mmdavpt = ([\w.]+:\w+)'", setup)
    module, _, function = target.partition(':')
    assert callable(getattr(importlib.import_module(module), function))


def test_make_venv_names_the_supported_python_versions(tmp_path):
    script = ROOT / 'requirements' / 'make_venv.sh'
    old = tmp_path / 'python3.8'
    old.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && '
        'echo "Python 3.8.18" && exit 0\nexit 1\n'
    )
    old.chmod(0o755)
    for python, sentence in (
        (str(old), 'Python 3.10, 3.11 or 3.12 is needed.* is Python 3.8.18'),
        ('no-such-python', "'no-such-python' was not found"),
    ):
        done = subprocess.run(
            ['sh', script, python, str(tmp_path / 'venv')],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 1
        assert re.search(sentence, done.stderr)
        assert not (tmp_path / 'venv').exists()


def test_package_has_the_recommended_configs(tmp_path):
    """`mmdavpt train FOLDER` needs them where there is no clone."""
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'build_py', '-d', str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for path in (ROOT / 'configs/recommended').glob('*.py'):
        copy = tmp_path / 'mmdavpt/.mim/configs/recommended' / path.name
        assert copy.read_text() == path.read_text()


def test_citation_has_the_version():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == mmdavpt.__version__
    assert citation['license'] == 'Apache-2.0'
    (paper,) = citation['references']
    assert paper['identifiers'][0]['value'] == 'arXiv:2505.23694'


def test_pre_commit_runs_programs_of_make_lint():
    config = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())
    lint = (ROOT / 'Makefile').read_text().split('\nlint:')[1].split('\n\n')[0]
    for repository in config['repos']:
        assert repository['repo'] == 'local'  # needs no network
        for hook in repository['hooks']:
            program = hook['entry'].split()[0].removeprefix('.venv/bin/')
            assert f'$(BIN)/{program} ' in lint
    assert {'ruff', 'mypy', 'interrogate'} <= {
        *re.findall(r'\$\(BIN\)/(\w+)', lint)
    }


def test_files_for_contributors_name_no_host_and_no_path_of_a_machine():
    paths = [*(ROOT / '.github').rglob('*.md')]
    names = ('CONTRIBUTING.md', 'CITATION.cff', '.pre-commit-config.yaml')
    paths += [ROOT / name for name in (*names, 'model-index.yml')]
    assert len(paths) == 7
    for path in paths:
        found = re.search(r'pypi|://|/home/|/work/', path.read_text())
        assert not found, (path, found)


def test_make_commands_of_contributing_exist():
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    targets = set(re.findall(r'\bmake (?:\w+=\S+ )?([a-z-]+)', text))
    makefile = (ROOT / 'Makefile').read_text()
    assert {'lint', 'test', 'test-all', 'test-slow', 'venv'} <= targets
    for target in targets:
        assert re.search(rf'^{target}:', makefile, re.M), target
