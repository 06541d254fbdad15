"""Safe reading of pre-trained files."""

import json
import os
import pickle

import huggingface_hub
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file

from mmdavpt.errors import UsageError
from mmdavpt.models.pretrained import read_checkpoint, sources

STATE = {'a.weight': torch.arange(6.0).view(2, 3), 'a.bias': torch.ones(2)}
EXECUTED = []


def execute(what):
    EXECUTED.append(what)


class Trap:
    """Executes something when it is unpickled."""

    def __reduce__(self):
        return execute, ('executed',)


@pytest.fixture(autouse=True)
def _nothing_executed():
    EXECUTED.clear()
    yield
    EXECUTED.clear()


def read(path, **kwargs):
    return read_checkpoint(str(path), **kwargs)


@pytest.mark.parametrize('new_form', [True, False])
def test_reject_pickled_objects_without_executing_them(tmp_path, new_form):
    path = tmp_path / 'trap.pth'
    torch.save(
        dict(state_dict=STATE, extra=Trap()),
        path,
        _use_new_zipfile_serialization=new_form,
    )
    with pytest.raises(UsageError, match='would execute.*allow_pickle=True'):
        read(path)
    assert EXECUTED == []
    loaded = read(path, allow_pickle=True)
    assert EXECUTED == ['executed']
    assert torch.equal(loaded.weights['a.weight'], STATE['a.weight'])


def test_reject_bare_pickles_without_executing_them(tmp_path):
    path = tmp_path / 'trap.bin'
    path.write_bytes(pickle.dumps(dict(model=Trap())))
    with pytest.raises(UsageError):
        read(path)
    assert EXECUTED == []


def test_reject_npz_objects_without_executing_them(tmp_path):
    path = tmp_path / 'trap.npz'
    trap = np.array([Trap()], dtype=object)
    np.savez(path, **{'embedding/kernel': trap, 'cls': np.zeros(1)})
    with pytest.raises(UsageError, match='should be an .npz file, but'):
        read(path)
    assert EXECUTED == []


def test_torchscript_needs_allow_pickle(tmp_path):
    path = tmp_path / 'ViT-B-16.pt'
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 2)), path)
    with pytest.raises(UsageError, match='allow_pickle=True'):
        read(path)
    weights = read(path, allow_pickle=True).weights
    assert {k: v.shape for k, v in weights.items()} == {
        'weight': (2, 3),
        'bias': (2,),
    }


def test_read_checkpoints_of_mmengine(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(
        dict(
            state_dict=STATE,
            meta=dict(epoch=1),
            message_hub=dict(
                log=HistoryBuffer(), best=np.float32(3), at=np.int64(2)
            ),
        ),
        path,
    )
    assert read(path).weights.keys() == STATE.keys()


class Reach:
    """Asks for an attribute of something that may be unpickled."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return getattr, (self.owner, self.name)


@pytest.mark.parametrize(
    'owner, name', [(np.ndarray, 'tofile'), (HistoryBuffer, '__init__')]
)
def test_reject_pickled_getattr(tmp_path, owner, name):
    torch.save(dict(STATE, x=Reach(owner, name)), tmp_path / 'a.pth')
    with pytest.raises(UsageError, match=f'would execute.*{name}'):
        read(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'name, content, expected',
    [
        ('a.pth', b'', 'should be a PyTorch checkpoint, but cannot'),
        ('a.pth', b'<!DOCTYPE html><html>', 'download it again'),
        ('a.safetensors', b'', 'should be a .safetensors file, but cannot'),
        ('a.safetensors', b'\xff' * 64, 'should be a .safetensors file'),
        ('a.npz', b'PK\x03\x04', 'should be an .npz file, but cannot'),
    ],
)
def test_report_broken_files(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=expected) as error:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors', '.npz'])
@pytest.mark.parametrize('kept', [0.02, 0.5, 0.97])
def test_report_truncated_files(tmp_path, suffix, kept):
    path = tmp_path / f'a{suffix}'
    state = {'embedding/kernel': torch.randn(40, 40), 'cls': torch.zeros(1)}
    if suffix == '.pth':
        torch.save(state, path)
    elif suffix == '.npz':
        np.savez(path, **{k: v.numpy() for k, v in state.items()})
    else:
        save_file(state, path)
    complete = path.read_bytes()
    path.write_bytes(complete[: int(kept * len(complete))])
    with pytest.raises(UsageError, match='cannot be read as one'):
        read(path)


@pytest.mark.parametrize('content', [[1, 2], dict(epoch=3), dict(model=None)])
def test_report_files_without_tensors(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(UsageError, match='should hold named tensors'):
        read(tmp_path / 'a.pth')


def test_reject_other_npz_models(tmp_path):
    np.savez(tmp_path / 'a.npz', **{'params/img/embedding/kernel': np.ones(2)})
    with pytest.raises(UsageError, match='of an original Vision Transformer'):
        read(tmp_path / 'a.npz')


def test_reject_npz_with_missing_arrays(tmp_path):
    from . import foreign

    arrays = foreign.google_arrays(foreign.timm_vit())
    key = (
        'Transformer/encoderblock_1/MultiHeadDotProductAttention_1/key/kernel'
    )
    del arrays[key]
    np.savez(tmp_path / 'a.npz', **arrays)
    with pytest.raises(UsageError, match='should be an .npz file') as error:
        read(tmp_path / 'a.npz')
    assert key in str(error.value)


@pytest.mark.parametrize('nested', [True, False])
def test_read_normalization_from_config_json(tmp_path, nested):
    save_file(STATE, tmp_path / 'model.safetensors')
    declared = dict(mean=[0.5, 0.25, 1.0], std=[0.5, 0.5, 0.2])
    config = dict(pretrained_cfg=declared) if nested else declared
    (tmp_path / 'config.json').write_text(json.dumps(config))
    normalization = read(tmp_path / 'model.safetensors').normalization
    assert normalization.mean == (127.5, 63.75, 255.0)
    assert normalization.std == (127.5, 127.5, 51.0)
    assert normalization.source == str(tmp_path / 'config.json')


@pytest.mark.parametrize(
    'text',
    [
        '{',
        '[1]',
        '{"mean": 3}',
        '{"pretrained_cfg": null}',
        '{"mean": [null, 1, 1], "std": [1, 1, 1]}',
    ],
)
def test_ignore_config_json_of_other_programs(tmp_path, text):
    save_file(STATE, tmp_path / 'model.safetensors')
    (tmp_path / 'config.json').write_text(text)
    assert read(tmp_path / 'model.safetensors').normalization is None


def test_download_from_hugging_face(tmp_path, monkeypatch):
    save_file(STATE, tmp_path / 'model.safetensors')
    asked = []

    def download(repo, file, revision):
        asked.append((repo, file, revision))
        return str(tmp_path / file)

    monkeypatch.setattr(sources, 'hf_hub_download', download)
    read('hf://timm/vit@v1/model.safetensors')
    assert asked == [
        ('timm/vit', 'model.safetensors', 'v1'),
        ('timm/vit', 'config.json', 'v1'),
    ]


def test_report_failed_download_from_hugging_face(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(repo, file, revision):
        raise LocalEntryNotFoundError('Please check your connection.\nmore')

    monkeypatch.setattr(sources, 'hf_hub_download', download)
    monkeypatch.setattr(sources, '_unreachable', lambda url: None)
    with pytest.raises(UsageError) as error:
        read('hf://timm/vit/model.safetensors')
    assert str(error.value) == (
        'hf://timm/vit/model.safetensors cannot be fetched (Please check '
        'your connection.); without a network, download it elsewhere, copy '
        'the file here, and set init_cfg.checkpoint, or --weights of a '
        'folder, to its path'
    )


@pytest.mark.parametrize(
    'source, expected',
    [
        ('hf://model.safetensors', 'should be hf://OWNER/REPO/FILE'),
        ('timm://vit_bse_patch16_224', "timm has no model 'vit_bse"),
        ('s3://bucket/x.pth', 'should be a file or begin with timm://, hf://'),
    ],
)
def test_report_malformed_sources(source, expected):
    with pytest.raises(UsageError, match=expected):
        read(source)


def test_read_from_timm(monkeypatch):
    import timm

    created = []
    original = timm.create_model

    def create_model(name, pretrained):
        created.append((name, pretrained))
        return original('test_vit', pretrained=False)

    monkeypatch.setattr(timm, 'create_model', create_model)
    loaded = read('timm://test_vit.r160_in1k')
    assert created == [('test_vit.r160_in1k', True)]
    assert 'blocks.0.attn.qkv.weight' in loaded.weights
    assert loaded.normalization.mean == (127.5,) * 3
    assert loaded.normalization.source == 'timm://test_vit.r160_in1k'


def test_report_failed_download_of_timm(monkeypatch):
    import timm

    def create_model(name, pretrained):
        raise OSError('no route to host')

    monkeypatch.setattr(timm, 'create_model', create_model)
    monkeypatch.setattr(sources, '_unreachable', lambda url: None)
    with pytest.raises(UsageError, match='no route to host.*save timm.create'):
        read('timm://test_vit')


def test_nothing_is_repeated_without_a_network(monkeypatch):
    monkeypatch.setattr(sources.constants, 'ENDPOINT', 'http://127.0.0.1:9')
    monkeypatch.setattr(huggingface_hub.utils._http.time, 'sleep', pytest.fail)
    for source in ('timm://test_vit.r160_in1k', 'hf://a/b/model.safetensors'):
        with pytest.raises(UsageError, match='Connection refused.*elsewhere'):
            read(source)
    assert not sources.constants.HF_HUB_OFFLINE


def test_download_urls_once(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    fetched = []

    def download(url, path, progress):
        fetched.append(url)
        torch.save(STATE, path)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    for _ in range(2):
        loaded = read('https://example.org/a/vit.pth?download=1')
    assert fetched == ['https://example.org/a/vit.pth?download=1']
    assert loaded.weights.keys() == STATE.keys()


def test_keep_urls_with_equal_file_names_apart(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))

    def download(url, path, progress):
        torch.save({url.split('/')[3]: torch.zeros(1)}, path)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    for name in ('a', 'b'):
        loaded = read(f'https://example.org/{name}/model.pth')
        assert list(loaded.weights) == [name]


@pytest.mark.parametrize('content', ['list', 'shape', 'missing'])
def test_report_malformed_npz(tmp_path, content):
    from . import foreign

    arrays = foreign.google_arrays(foreign.timm_vit())
    if content == 'list':
        (tmp_path / 'a.npz').write_bytes(b'')
        with open(tmp_path / 'a.npz', 'wb') as file:
            np.save(file, np.ones(3))
    else:
        if content == 'shape':
            arrays['embedding/kernel'] = np.ones(3, np.float32)
        else:
            del arrays['embedding/bias']
        np.savez(tmp_path / 'a.npz', **arrays)
    with pytest.raises(UsageError, match='should be an .npz file, but'):
        read(tmp_path / 'a.npz')


def test_report_failed_download_of_url(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))

    def download(url, path, progress):
        raise OSError('Name or service not known')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    with pytest.raises(UsageError, match='not known.*download it elsewhere'):
        read('https://example.org/vit.pth')


def test_ignore_config_json_of_another_file(tmp_path):
    save_file(STATE, tmp_path / 'dino.safetensors')
    declared = dict(mean=[0.5] * 3, std=[0.5] * 3)
    (tmp_path / 'config.json').write_text(json.dumps(declared))
    assert read(tmp_path / 'dino.safetensors').normalization is None


class System:
    """Would call the operating system."""

    def __reduce__(self):
        return os.system, ('exit 0',)


def test_hide_advice_of_pytorch_to_trust_a_file(tmp_path):
    torch.save(dict(STATE, x=System()), tmp_path / 'a.pth')
    with pytest.raises(UsageError, match='would execute') as error:
        read(tmp_path / 'a.pth')
    assert 'system' in str(error.value)
    assert 'weights_only' not in str(error.value)
