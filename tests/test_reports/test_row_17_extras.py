"""Row 17: a missing optional package is named, with the extra to install."""

import sys
from importlib import metadata

import pytest
import setuptools
from mmengine.config import Config
from mmengine.registry import VISBACKENDS

from mmdavpt.checks.config_errors import describe, missing_package
from mmdavpt.cli import train
from mmdavpt.cli.messages import run_command
from tests import toy
from tests.source_tree import PACKAGE


@pytest.fixture
def extras(monkeypatch):
    """Return the extras of setup.py, as installed."""
    found = {}
    monkeypatch.setattr(setuptools, 'setup', lambda **kw: found.update(kw))
    path = PACKAGE.parent / 'setup.py'
    exec(compile(path.read_text(), path, 'exec'), {'__file__': str(path)})
    extras = found['extras_require']
    lines = [
        f'{package}; extra == "{extra}"'
        for extra, packages in extras.items()
        for package in packages
    ]
    monkeypatch.setattr(metadata, 'requires', lambda name: lines)
    return extras


@pytest.mark.parametrize(
    'backend, package', [('Tensorboard', 'tensorboard'), ('Wandb', 'wandb')]
)
def test_a_run_names_the_extra(
    extras, backend, package, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, package, None)
    backend = f'{backend}VisBackend'
    visualizer = dict(type='Visualizer', vis_backends=[dict(type=backend)])
    cfg = toy.classification(tmp_path / 'work', dict(visualizer=visualizer))
    Config(cfg).dump(tmp_path / 'config.py')
    with pytest.raises(SystemExit):
        run_command(train, [str(tmp_path / 'config.py')])
    (line,) = (
        line
        for line in capsys.readouterr().err.splitlines()
        if not line.startswith('warning: ')
    )
    assert (
        f"the package '{package}' is missing; install it with "
        f'`pip install "mmdavpt[{package}]"`; the traceback is in' in line
    )


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in VISBACKENDS.module_dict
        if name not in ('LocalVisBackend', 'WandbVisBackend')
    ],
)
def test_every_backend_without_its_package(
    extras, name, monkeypatch, tmp_path
):
    """Those without an extra keep the advice of mmengine."""
    for package in ('tensorboard', 'mlflow', 'clearml', 'neptune'):
        monkeypatch.setitem(sys.modules, package, None)
    for package in ('dvclive', 'pygit2', 'aim'):
        monkeypatch.setitem(sys.modules, package, None)
    backend = VISBACKENDS.build(dict(type=name, save_dir=str(tmp_path)))
    with pytest.raises(ImportError) as info:
        backend._init_env()
    sentence = describe(info.value, {})
    assert '\n' not in sentence
    assert 'pip install' in sentence or 'Please install' in sentence


def test_packages_without_an_extra_or_without_a_package(extras, monkeypatch):
    def fail(package):
        try:
            exec(f'import {package}')
        except ImportError as error:
            return error

    for name in ('onnxscript', 'onnxscript.ir'):
        monkeypatch.setitem(sys.modules, name, None)
    assert 'mmdavpt[onnx]' in missing_package(fail('onnxscript.ir'))
    assert missing_package(fail('no_such_package')) is None
    assert missing_package(ImportError('cannot import name')) is None

    def not_installed(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, 'requires', not_installed)
    assert missing_package(fail('onnxscript')) is None
