"""Several labels an image: unguided prompts train, guided ones are rejected.

With `model.guidance=None` the check of labels stopped iteration 1
[mmpretrain #215, #1911].
"""

import json

import pytest
from mmengine.config import Config

from mmdavpt.cli import train
from mmdavpt.cli.messages import run_command
from tests import toy

from . import runs

LABELS = [[0], [1, 2], [0, 2], []]


@pytest.fixture
def cfg(tmp_path):
    folder = runs.photos(tmp_path / 'photos', number=len(LABELS))
    images = [
        dict(img_path=f'red/{i}.png', gt_label=labels)
        for i, labels in enumerate(LABELS)
    ]
    names = dict(classes=[*runs.COLORS])
    (tmp_path / 'list.json').write_text(
        json.dumps(dict(metainfo=names, data_list=images))
    )
    cfg = Config(runs.classification(folder))
    cfg.model.head.update(type='MultiLabelLinearClsHead')
    cfg.model.head.pop('loss')
    dataset = dict(
        type='MultiLabelDataset',
        data_prefix=str(folder),
        ann_file=str(tmp_path / 'list.json'),
        pipeline=[runs.LOAD, dict(type='PackInputs')],
    )
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset = dataset
        if split != 'train':
            cfg[f'{split}_evaluator'] = dict(type='MultiLabelMetric')
    cfg.custom_hooks = [
        dict(type='mmdavpt.TrainingCheckHook'),
        dict(type='mmdavpt.PromptMappingHook'),
    ]
    cfg.train_cfg.val_interval = 1
    return cfg


def test_unguided_prompts_train(cfg, tmp_path, capsys):
    cfg.dump(tmp_path / 'c.py')
    run_command(train, [str(tmp_path / 'c.py')])
    assert len([*tmp_path.rglob('epoch_2.pth')]) == 1


def test_guided_prompts_are_rejected(cfg, tmp_path, capsys):
    cfg.model.guidance = toy.classification('x')['model']['guidance']
    cfg.dump(tmp_path / 'c.py')
    with pytest.raises(SystemExit, match='2'):
        run_command(train, [str(tmp_path / 'c.py')])
    said = capsys.readouterr().err
    assert 'guidance needs one class per image, but `model.head`' in said
    assert len(said.splitlines()) == 1
