"""Model files: safetensors and JSON, without paths or code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import mmdavpt
from mmdavpt.errors import UsageError
from mmdavpt.registry import MODELS

from .. import toy
from .test_tuned_model import batch, create, tiny_models  # noqa: F401

GLYPHS = Path(__file__).parents[2] / 'checkpoints/vit-tiny_glyphs.pth'


def create_from_file(weights, **settings):
    arch = dict(num_heads=4)  # which the file does not state
    return mmdavpt.create_model(
        str(weights), num_classes=3, arch=arch, size=32, **settings
    )


def read(path):
    with safe_open(str(path), framework='pt') as file:
        return json.loads(file.metadata()['meta']), load_file(path)


def trained(path, **settings):
    """Return a model after an epoch of one step, saved to a file."""
    model = create(**settings)
    images, labels, masks = batch()
    given = masks if settings.get('task') == 'segmentation' else labels
    model.fit_mapping([(images, given)])
    optimizer = torch.optim.AdamW(mmdavpt.trainable_parameters(model))
    model(images, given)['loss'].backward()
    optimizer.step()
    mmdavpt.save_model(model, path)
    return model.eval()


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
@pytest.mark.parametrize('method', ['davpt-plus', 'LoRA', 'full'])
def test_round_trip(tmp_path, task, method):
    path = tmp_path / 'a.safetensors'
    head = dict(head='linear') if task == 'segmentation' else {}
    model = trained(path, method=method, task=task, **head)
    loaded = mmdavpt.load_model(path)
    images = batch(1)[0]
    assert torch.equal(loaded(images), model(images))
    picture = images[0].permute(1, 2, 0).numpy()
    [one], [other] = model.predict([picture]), loaded.predict([picture])
    key = 'mask' if task == 'segmentation' else 'scores'
    assert torch.equal(one[key], other[key])
    meta, weights = read(path)
    tuned_only = not any('vit.' in name for name in weights)
    assert tuned_only == (method != 'full')
    mmdavpt.save_model(loaded, tmp_path / 'b.safetensors')
    again = read(tmp_path / 'b.safetensors')
    assert again[0] == meta
    assert again[1].keys() == weights.keys()


@pytest.mark.parametrize('complete', [False, True])
def test_frozen_weights_in_bfloat16(tmp_path, complete):
    model = create(method='davpt-plus', frozen_dtype='bfloat16')
    types = {False: set(), True: set()}
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim > 1 and name.endswith('weight')
        if matrix or parameter.requires_grad:
            types[parameter.requires_grad].add(parameter.dtype)
    assert types == {False: {torch.bfloat16}, True: {torch.float32}}
    path, images = tmp_path / 'a.safetensors', batch(1)[0]
    mmdavpt.save_model(model, path, complete)
    meta, _ = read(path)
    assert meta['spec']['model']['backbone']['frozen_dtype'] == 'bfloat16'
    loaded = mmdavpt.load_model(path)
    assert torch.equal(loaded(images), model.eval()(images))
    state = loaded.state_dict()
    for name, value in model.state_dict().items():
        assert state[name].dtype == value.dtype, name
        assert torch.equal(state[name], value), name


def test_a_file_has_no_path_and_needs_its_weights(tmp_path, monkeypatch):
    weights = tmp_path / 'weights/vit.pth'
    weights.parent.mkdir()
    weights.write_bytes(GLYPHS.read_bytes())
    model = create_from_file(weights, classes=['a', 'b', 'c']).eval()
    path = tmp_path / 'a.safetensors'
    mmdavpt.save_model(model, path)
    meta, _ = read(path)
    assert str(tmp_path) not in json.dumps(meta)
    assert meta['spec']['classes'] == ['a', 'b', 'c']
    assert 'std' in meta['spec']['model']['data_preprocessor']
    with pytest.raises(UsageError) as error:
        mmdavpt.load_model(path)
    assert 'needs the frozen weights: ' in str(error.value)
    assert 'vit.pth does not exist' in str(error.value)
    assert 'pass weights=FILE, on the command line --w' in str(error.value)
    assert 'init_cfg' not in str(error.value)
    images = batch()[0]
    loaded = mmdavpt.load_model(path, weights=str(weights))
    assert torch.equal(loaded(images), model(images))
    weights.rename(tmp_path / 'vit.pth')  # next to the file
    assert torch.equal(mmdavpt.load_model(path)(images), model(images))
    monkeypatch.chdir(tmp_path)
    mmdavpt.save_model(mmdavpt.load_model('a.safetensors'), 'b.safetensors')
    assert read('b.safetensors')[0] == meta


def test_other_frozen_weights_are_refused(tmp_path):
    mmdavpt.save_model(create_from_file(GLYPHS), tmp_path / 'a.safetensors')
    state = torch.load(GLYPHS, weights_only=True)
    inner = state.get('state_dict', state)
    name = next(n for n in inner if n.endswith('ffn.layers.1.weight'))
    inner[name] = inner[name] + 1e-6
    torch.save(state, tmp_path / 'vit-tiny_glyphs.pth')
    with pytest.raises(
        UsageError, match='tuned on frozen weights with finger'
    ):
        mmdavpt.load_model(tmp_path / 'a.safetensors')


def test_complete_files_need_no_weights(tmp_path):
    model = create(pretrained=False).eval()
    path = tmp_path / 'a.safetensors'
    with pytest.raises(UsageError, match='use complete=True'):
        mmdavpt.save_model(model, path)
    mmdavpt.save_model(model, path, complete=True)
    images = batch()[0]
    assert torch.equal(mmdavpt.load_model(path)(images), model(images))
    with pytest.raises(UsageError, match=r'ends in \.safetensors'):
        mmdavpt.save_model(model, 'a.pth')


def test_mistaken_files(tmp_path):
    save_file(dict(x=torch.zeros(1)), tmp_path / 'a.safetensors')
    with pytest.raises(UsageError, match='was not written by `save_model`'):
        mmdavpt.load_model(tmp_path / 'a.safetensors')
    with pytest.raises(UsageError, match='does not exist'):
        mmdavpt.load_model(tmp_path / 'b.safetensors')
    path = tmp_path / 'c.safetensors'
    trained(path)
    meta, weights = read(path)
    weights.pop('head.fc.weight')
    save_file(weights, path, dict(format='pt', meta=json.dumps(meta)))
    with pytest.raises(UsageError, match=r'it lacks head\.fc\.weight'):
        mmdavpt.load_model(path)


@pytest.mark.parametrize('plain', [False, True])
@pytest.mark.parametrize('wrapped', [False, True])
def test_a_checkpoint_must_have_all_weights(tmp_path, plain, wrapped):
    """mmengine and torch would keep random weights."""
    cfg = Config(toy.classification(tmp_path / 'run'))
    if plain:
        cfg.model.type = 'mmpretrain.ImageClassifier'
        del cfg.model['guidance']
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model).eval()
    state, path = model.state_dict(), str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=state) if wrapped else state, path)
    images = torch.rand(2, 3, 32, 32)
    loaded = mmdavpt.load_model(cfg, path)
    torch.testing.assert_close(
        loaded.model.head.fc.weight, model.head.fc.weight, rtol=0, atol=0
    )
    shared = mmdavpt.load_model(cfg, path, share=loaded)
    assert torch.equal(shared(images), loaded(images))
    torch.save(
        dict(state_dict={f'module.{k}': v for k, v in state.items()}), path
    )
    again = mmdavpt.load_model(cfg, path)
    assert torch.equal(again(images), loaded(images))
    state.pop('head.fc.weight')
    torch.save(dict(state_dict=state) if wrapped else state, path)
    with pytest.raises(UsageError, match=r'is missing head\.fc\.weight'):
        mmdavpt.load_model(cfg, path)


@pytest.mark.parametrize(
    'place', ['model', 'data_preprocessor', 'backbone', 'head', 'pipeline']
)
def test_a_file_cannot_execute_code(tmp_path, place):
    """mmengine would import an unknown type and call it."""
    path, mark = tmp_path / 'a.safetensors', tmp_path / 'mark'
    trained(path)
    meta, weights = read(path)
    spec = meta['spec']
    evil = dict(type='subprocess.Popen', args=['touch', str(mark)])
    if place == 'pipeline':
        spec['pipeline'].append(evil)
    elif place == 'model':
        spec['model'] = evil | dict(backbone={})
    else:
        spec['model'][place] = evil
    save_file(weights, path, dict(format='pt', meta=json.dumps(meta)))
    with pytest.raises(UsageError, match=r'subprocess\.Popen'):
        mmdavpt.load_model(path)
    assert not mark.exists()


def test_importing_the_package_imports_no_torch():
    """The command line answers at once."""
    program = 'import sys, mmdavpt; assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', program], check=True)
