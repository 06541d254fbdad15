"""A test without labels names what to set instead of a KeyError.

It ended in `KeyError: 'gt_sem_seg'` [mmseg #3678].
"""

import pickle

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmdavpt.cli import test
from mmdavpt.cli.messages import run_command
from mmdavpt.registry import MODELS

from . import runs

CASES = ['seg, not loaded', 'seg, no folder', 'cls']


@pytest.fixture(params=CASES)
def run(request, tmp_path):
    """Write a config without labels and weights; return their paths."""
    if request.param == 'cls':
        folder = runs.photos(tmp_path / 'photos', names=['red'])
        cfg = Config(runs.classification(folder))
        dataset = cfg.test_dataloader.dataset
        dataset.update(with_label=False)
        dataset.metainfo = dict(classes=[*runs.COLORS])
    else:
        cfg = Config(runs.segmentation(runs.masks(tmp_path / 'masks')))
        dataset = cfg.test_dataloader.dataset
        if request.param == 'seg, no folder':
            dataset.data_prefix = dict(img_path='images')
        else:
            dataset.pipeline = [runs.LOAD, runs.RESIZE, runs.PACK]
    cfg.custom_hooks = [dict(type='mmdavpt.TrainingCheckHook')]
    cfg.dump(tmp_path / 'c.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'w.pth')
    argv = [str(tmp_path / name) for name in ('c.py', 'w.pth')]
    return request.param, argv


def test_says_what_to_set_and_that_works(run, tmp_path, capsys):
    case, argv = run
    with pytest.raises(SystemExit, match='2'):
        run_command(test, argv)
    said = capsys.readouterr().err
    assert 'format_only' in said
    assert len(said.splitlines()) == 1
    if case == 'cls':
        out = tmp_path / 'p.pkl'
        more = ['--out', str(out), '--cfg-options', 'test_evaluator=[]']
        run_command(test, [*argv, *more])
        assert len(pickle.loads(out.read_bytes())) == 4
        return
    assert case != 'seg, no folder' or 'remove LoadAnnotations' in said
    if case == 'seg, no folder':
        cfg = Config.fromfile(argv[0])
        cfg.test_dataloader.dataset.pipeline.pop(2)
        cfg.dump(argv[0])
    options = ['--cfg-options', 'test_evaluator.format_only=True']
    run_command(test, [*argv, '--out', str(tmp_path / 'maps'), *options])
    maps = sorted((tmp_path / 'maps').iterdir())
    assert [Image.open(path).size for path in maps] == [(40, 32)] * 4
