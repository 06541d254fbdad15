"""``mmdavpt export``: files, class names, refusals in one sentence."""

import json
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdavpt.checks import config_errors
from mmdavpt.cli.export import main as export
from mmdavpt.registry import MODELS

from .. import toy

pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture
def run(tmp_path):
    """Return config, checkpoint and model of a run."""
    cfg = Config(toy.classification(tmp_path / 'run'))
    cfg.dump(tmp_path / 'config.py')
    init_default_scope('mmpretrain')
    model = MODELS.build(cfg.model).eval()
    content = dict(
        state_dict=model.state_dict(),
        meta=dict(dataset_meta=dict(classes=['a', 'ä', *'cdef'])),
    )
    torch.save(content, tmp_path / 'epoch_2.pth')
    return str(tmp_path / 'config.py'), str(tmp_path / 'epoch_2.pth'), model


def test_files_are_next_to_the_checkpoint(run, tmp_path, capsys):
    config, checkpoint, model = run
    export([config, checkpoint, '--format', 'torchscript'])
    out = capsys.readouterr()
    assert out.out.splitlines()[-1].startswith(f'{checkpoint}.pt is written')
    assert not out.err
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        logits = torch.jit.load(f'{checkpoint}.pt')(images)
        torch.testing.assert_close(logits, model(images))
    assert json.loads((tmp_path / 'epoch_2.pth.pt.json').read_text()) == dict(
        size=[32, 32],
        rgb=False,
        mean=[127.5] * 3,
        std=[64.0] * 3,
        classes=['a', 'ä', *'cdef'],
    )


def test_normalization_outside_of_the_model_is_described(run, tmp_path):
    # The recommended config, all of FGVC and VTAB-1k, and MMPretrain's own.
    config, checkpoint, _ = run
    cfg = Config.fromfile(config)
    cfg.data_preprocessor = dict(cfg.model.pop('data_preprocessor'))
    cfg.data_preprocessor.to_rgb = True
    cfg.dump(config)
    export([config, checkpoint, '--format', 'torchscript'])
    info = json.loads((tmp_path / 'epoch_2.pth.pt.json').read_text())
    assert info['rgb'] is True
    assert info['mean'] == [127.5] * 3 and info['std'] == [64.0] * 3


def test_out_and_size(run, tmp_path):
    config, checkpoint, _ = run
    out = tmp_path / 'other' / 'm.pt'
    options = ['--out', str(out), '--size', '40', '48']
    export([config, checkpoint, '--format', 'torchscript', *options])
    images = torch.randn(2, 3, 40, 48)
    assert torch.jit.load(out)(images).shape == (2, 6)
    info = json.loads((tmp_path / 'other' / 'm.pt.json').read_text())
    assert info['size'] == [40, 48]


def refusal(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        export(arguments)
    assert error.value.code == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if x.strip()]
    assert len(lines) == 1
    return lines[0]


def test_refusals(run, tmp_path, capsys, monkeypatch):
    config, checkpoint, _ = run
    line = refusal([config, checkpoint, '--format', 'weights'], capsys)
    assert 'weights export failed: prompts' in line
    assert 'has no' not in line

    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    needs = ['onnxruntime; extra == "onnx"']
    monkeypatch.setattr(config_errors.metadata, 'requires', lambda _: needs)
    line = refusal([config, checkpoint], capsys)
    assert '`pip install "mmdavpt[onnx]"`' in line
    assert {p.name for p in tmp_path.iterdir()} == {'config.py', 'epoch_2.pth'}

    state = torch.load(checkpoint)
    del state['state_dict']['head.fc.weight']
    torch.save(state, checkpoint)
    line = refusal([config, checkpoint, '--format', 'torch'], capsys)
    assert 'head.fc.weight' in line
