"""No way of loading executes a checkpoint unless the user allows it."""

import warnings

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import save_file

from mmdavpt.checkpoints import (
    install_safe_loading,
    read_run_checkpoint,
    safe_loading,
)
from mmdavpt.errors import UsageError
from mmdavpt.registry import MODELS

from .. import toy
from . import runs

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


@pytest.fixture
def trap(tmp_path):
    """Return a config, and a checkpoint of it that executes something."""
    cfg = toy.classification(tmp_path)
    state = MODELS.build(cfg['model']).state_dict()
    path = str(tmp_path / 'trap.pth')
    torch.save(dict(state_dict=state, meta={}, trap=Trap()), path)
    return cfg, path


def ways(cfg, path):
    """Yield functions that load a checkpoint."""
    from mmpretrain.apis import get_model

    def of_runner(**kwargs):
        runner = runs.runner(cfg, load_from=path, **kwargs)
        runner.train()

    yield lambda: of_runner()
    yield lambda: of_runner(resume=True)
    yield lambda: load_checkpoint(MODELS.build(cfg['model']), path)
    yield lambda: get_model(Config(cfg), pretrained=path)


def test_no_way_of_loading_executes_code(trap, monkeypatch):
    install_safe_loading()
    for load in ways(*trap):
        with pytest.raises(
            UsageError, match='execute.*set MMDAVPT_ALLOW_PICKLE=1 in the env'
        ):
            load()
    monkeypatch.setenv('MMDAVPT_ALLOW_PICKLE', '0')
    with pytest.raises(UsageError, match='execute'):
        read_run_checkpoint(trap[1])
    assert EXECUTED == []
    monkeypatch.setenv('MMDAVPT_ALLOW_PICKLE', '1')
    read_run_checkpoint(trap[1])
    assert EXECUTED == ['executed']


def test_our_runner_loads_safely_without_a_call(trap):
    cfg, path = trap
    with pytest.raises(UsageError, match='execute'):
        runs.runner(cfg, load_from=path).train()
    assert EXECUTED == []


def test_map_location_is_used(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict={'w': torch.ones(2)}), path)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(safe_loading, 'fetch_url', lambda url: str(path))
    install_safe_loading()
    for name in (str(path), '~/a.pth', 'https://there/a.pth'):
        read = CheckpointLoader.load_checkpoint(name, map_location='meta')
        assert read['state_dict']['w'].device.type == 'meta'


def test_damaged_safetensors_metadata(tmp_path):
    path = str(tmp_path / 'a.safetensors')
    save_file({'w': torch.ones(2)}, path, metadata=dict(meta='["odd"]'))
    assert read_run_checkpoint(path)['meta'] == {}
    save_file({'w': torch.ones(2)}, path, metadata=dict(meta='{"iter"'))
    with pytest.raises(UsageError, match='a .safetensors file of a run'):
        read_run_checkpoint(path)


def test_numpy_scores_are_read_safely(tmp_path):
    content = dict(
        state_dict={},
        scores=[np.dtype(code).type(1) for code in 'bBhHiIlLqQ?efd'],
        palette=np.zeros((3, 3), np.uint8),
    )
    torch.save(content, tmp_path / 'a.pth')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        read = read_run_checkpoint(str(tmp_path / 'a.pth'))
    assert read['scores'] == content['scores']


def test_best_score_of_segmentation_is_read(tmp_path):
    """Its score is a float32 of numpy, which mmengine cannot read safely."""
    cfg = toy.segmentation(tmp_path, {'train_cfg.val_interval': 2})
    cfg['default_hooks']['checkpoint'].update(save_best='mIoU', interval=2)
    runner = runs.runner(cfg)
    runner.train()
    runner = runs.runner(cfg, resume=True)
    runner.load_or_resume()
    assert runner.message_hub.get_info('best_score') >= 0
    assert runner._load_from == str(tmp_path / 'iter_4.pth')


@pytest.mark.parametrize(
    'content, sentence',
    [
        ([1], 'should contain a dict .* contains list'),
        (None, 'does not exist'),
    ],
)
def test_missing_or_other_file_is_reported(tmp_path, content, sentence):
    if content is not None:
        torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(UsageError, match=sentence):
        read_run_checkpoint(str(tmp_path / 'a.pth'))


def test_text_file_is_not_recommended_to_be_trusted(tmp_path):
    path = tmp_path / 'README.md'
    path.write_text('# A title\n')
    with pytest.raises(UsageError, match='its first bytes are wrong') as info:
        read_run_checkpoint(str(path))
    assert 'weights_only' not in str(info.value)


def test_changed_byte_is_detected(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict={'w': torch.zeros(1000)}), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    torch.load(path)  # which does not compare checksums
    with pytest.raises(UsageError, match='is damaged: the checksum of'):
        read_run_checkpoint(str(path))


def test_archive_that_names_another_disk(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict={'w': torch.zeros(3)}), path)
    content = bytearray(path.read_bytes())
    content[content.rfind(b'PK\x06\x07') + 16] = 3
    path.write_bytes(content)
    with pytest.raises(UsageError, match='multiple disks'):
        read_run_checkpoint(str(path))


def test_segmentation_apis_load_tuned_only_checkpoints(tmp_path):
    """With mmengine's own loader, and with the safe one."""
    from mmseg.apis import init_model

    loaders = dict(CheckpointLoader._schemes)

    weights = runs.pretrained(tmp_path / 'vit.pth')
    cfg = toy.segmentation(
        tmp_path,
        {
            'model.backbone.init_cfg': dict(
                type='Pretrained', checkpoint=weights
            ),
            'default_hooks.checkpoint.tuned_only': True,
        },
    )
    runner = runs.runner(cfg)
    runner.train()
    path = str(tmp_path / 'iter_4.pth')
    for schemes in (loaders, CheckpointLoader._schemes):
        CheckpointLoader._schemes = schemes
        model = init_model(Config(cfg), path, device='cpu')
        runs.assert_equal(dict(model.state_dict()), runs.state(runner))
        assert len(model.dataset_meta['classes']) == 27


def test_safe_loading_leaves_no_weight_random(tmp_path):
    """The scores of random weights look like any other scores."""
    from mmpretrain.apis import get_model

    install_safe_loading()
    cfg = toy.classification(tmp_path)
    model = MODELS.build(cfg['model'])
    path = str(tmp_path / 'a.pth')
    state = {**model.state_dict(), 'head.fc.bias': torch.zeros(99)}
    del state['backbone.cls_token']
    torch.save(dict(state_dict=state), path)
    said = r'a\.pth should have exactly .* is missing backbone\.cls_'
    for load in (
        lambda: get_model(Config(cfg), pretrained=path),
        lambda: load_checkpoint(MODELS.build(cfg['model']), path),
    ):
        with pytest.raises(UsageError, match=said + '.*mismatched shape'):
            load()
    model.load_allowed = ('head.fc.bias', 'backbone.cls_*')
    load_checkpoint(model, path)
