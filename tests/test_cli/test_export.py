"""``mmdavpt export``: files, class names, refusals in one sentence."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

import mmdavpt
from mmdavpt.checks import config_errors
from mmdavpt.cli import export
from mmdavpt.cli.messages import run_command
from mmdavpt.errors import UsageError
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


def test_no_format_replaces_the_file_of_another():
    assert len({*export.SUFFIXES.values()}) == len(export.SUFFIXES)


def test_files_are_next_to_the_checkpoint(run, tmp_path, capsys):
    config, checkpoint, model = run
    run_command(export, [config, checkpoint, '--format', 'torchscript'])
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
        resize=[],
    )


def test_the_test_pipeline_is_described_and_the_docs_follow_it(
    run, tmp_path, monkeypatch
):
    config, checkpoint, _ = run
    cfg = Config.fromfile(config)
    steps = [
        dict(type='LoadImageFromFile'),
        dict(
            type='ResizeEdge',
            scale=36,
            backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='CenterCrop', crop_size=32),
        dict(type='PackInputs'),
    ]
    cfg.val_dataloader.dataset.pipeline = steps
    cfg.dump(config)
    run_command(export, [config, checkpoint, '--format', 'torchscript'])
    info = json.loads((tmp_path / 'epoch_2.pth.pt.json').read_text())
    resize, crop = info['resize']
    assert resize == dict(steps[1], edge='short')
    assert crop['type'] == 'CenterCrop' and crop['crop_size'] == [32, 32]

    text = (Path(__file__).parents[2] / 'docs/deployment.md').read_text()
    block, *_ = re.findall('```python\n(.*?)```', text, re.S)
    assert 'onnxruntime' in block
    given = []

    class Session:
        def __init__(self, path):
            meta = dict(mmdavpt=json.dumps(info))
            found = SimpleNamespace(custom_metadata_map=meta)
            self.get_modelmeta = lambda: found

        def run(self, names, inputs):
            given.append(inputs['images'])
            return [np.eye(6)[:1]]

    onnxruntime = SimpleNamespace(InferenceSession=Session)
    monkeypatch.setitem(sys.modules, 'onnxruntime', onnxruntime)
    monkeypatch.chdir(tmp_path)
    model = mmdavpt.load_model(config, checkpoint)
    for shape in ((45, 70, 3), (71, 40, 3)):
        rng = np.random.default_rng(0)
        pixels = rng.integers(256, size=shape, dtype=np.uint8)
        # Exact, whatever its name.
        Image.fromarray(pixels).save('bird.jpg', format='png')
        exec(block, {})
        images = model.transform('bird.jpg').flip(0)[None]  # BGR
        expected = (images.numpy() - 127.5) / 64
        np.testing.assert_allclose(given.pop(), expected, atol=1e-5)


def test_frozen_weights_are_passed_on(run, capsys, monkeypatch):
    def load(cfg, checkpoint, weights):
        raise UsageError(f'got {weights}')

    monkeypatch.setattr('mmdavpt.api.load_model', load)
    line = refusal([*run[:2], '--weights', run[0]], capsys)
    assert f'got {run[0]}' in line


def test_normalization_outside_of_the_model_is_described(run, tmp_path):
    # The recommended config, all of FGVC and VTAB-1k, and MMPretrain's own.
    config, checkpoint, _ = run
    cfg = Config.fromfile(config)
    cfg.data_preprocessor = dict(cfg.model.pop('data_preprocessor'))
    cfg.data_preprocessor.to_rgb = True
    cfg.dump(config)
    run_command(export, [config, checkpoint, '--format', 'torchscript'])
    info = json.loads((tmp_path / 'epoch_2.pth.pt.json').read_text())
    assert info['rgb'] is True
    assert info['mean'] == [127.5] * 3 and info['std'] == [64.0] * 3


def test_out_and_size(run, tmp_path):
    config, checkpoint, _ = run
    out = tmp_path / 'other' / 'm.pt'
    options = ['--out', str(out), '--size', '40', '48']
    run_command(
        export, [config, checkpoint, '--format', 'torchscript', *options]
    )
    images = torch.randn(2, 3, 40, 48)
    assert torch.jit.load(out)(images).shape == (2, 6)
    info = json.loads((tmp_path / 'other' / 'm.pt.json').read_text())
    assert info['size'] == [40, 48]


def test_a_model_file_is_the_same_model(run, tmp_path, capsys):
    config, checkpoint, model = run
    out = str(tmp_path / 'a.safetensors')
    arguments = [config, checkpoint, '--format', 'model', '--out', out]
    assert 'omit --size' in refusal([*arguments, '--size', '8', '8'], capsys)
    run_command(export, arguments)
    loaded = mmdavpt.load_model(out)
    assert loaded.classes == ['a', 'ä', *'cdef']
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        expected = mmdavpt.load_model(config, checkpoint)(images)
        assert torch.equal(loaded(images), expected)
        plain = model((images.flip(1) - 127.5) / 64)  # BGR
    torch.testing.assert_close(expected, plain)


def refusal(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        run_command(export, arguments)
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
