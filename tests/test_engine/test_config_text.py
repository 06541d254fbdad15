"""The text of a config in the work folder and in checkpoints."""

import copy

import pytest
import torch
from mmengine.config import Config
from yapf.yapflib import yapf_api

from mmdavpt.engine.runner import DAVPTRunner
from tests import toy


@pytest.mark.parametrize('kind', [dict, Config])
def test_a_run_writes_its_config_without_yapf(kind, tmp_path, monkeypatch):
    """It would take seconds for a long list of classes, each time."""

    def fail(*args, **kwargs):
        raise AssertionError('yapf was called')

    monkeypatch.setattr(yapf_api, 'FormatCode', fail)
    cfg = kind(toy.classification(tmp_path))
    before = copy.deepcopy(cfg)
    runner = DAVPTRunner.from_cfg(cfg)
    runner.save_checkpoint(str(tmp_path), 'saved.pth', save_optimizer=False)
    meta = torch.load(tmp_path / 'saved.pth', weights_only=False)['meta']
    files = [*tmp_path.glob('*.py'), *tmp_path.glob('*/vis_data/config.py')]
    assert len(files) == 2
    texts = [meta['cfg'], *(file.read_text() for file in files)]
    for text in texts:
        found = Config.fromstring(text, '.py')
        assert found.to_dict() == runner.cfg.to_dict()
    assert runner.cfg.train_cfg == before['train_cfg']
    # The config that was given is unchanged.
    assert str(cfg) == str(before)
    assert kind is dict or cfg._format_python_code
