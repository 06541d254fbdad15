"""The configs in README.md load, and their models have the right sizes."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdavpt.checks.build import DryRunner
from mmdavpt.registry import MODELS

ROOT = Path(__file__).parents[1]


def blocks():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    return dict(
        re.findall(r'```python\n# configs/(\w+)\.py\n(.*?)```', text, re.S)
    )


def test_both_tasks_have_an_example():
    assert set(blocks()) == {'my_birds', 'my_scenes'}


@pytest.mark.parametrize('name, classes', [('my_birds', 12), ('my_scenes', 3)])
def test_example_loads_and_builds(tmp_path, name, classes):
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    path = tmp_path / 'configs' / f'{name}.py'
    path.write_text(blocks()[name], encoding='utf-8')
    cfg = Config.fromfile(path)
    assert DryRunner(cfg, training=True)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    heads = (
        [model.head]
        if name == 'my_birds'
        else [model.decode_head, *model.auxiliary_head]
    )
    assert [head.num_classes for head in heads] == [classes] * len(heads)
    assert model.guidance.num_classes == classes
    for split, folder in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.pipeline
        if name == 'my_birds':
            assert dataset.data_root == 'birds'
            assert dataset.data_prefix == folder
        else:
            assert dataset.data_root == 'scenes'
            assert dataset.data_prefix.seg_map_path == f'{folder}/labels'
            assert len(dataset.metainfo.classes) == classes
            assert len(dataset.metainfo.palette) == classes


def test_links_exist_and_nothing_is_left_open():
    for path in [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]:
        text = path.read_text(encoding='utf-8')
        for link in re.findall(r'\]\(([^)#]+)', text):
            if '://' not in link:
                assert (path.parent / link).exists(), (path.name, link)
        assert not re.findall(r'@[A-Z]+@', text)
