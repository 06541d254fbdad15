"""Bad lines of lists are named by file, number and reason.

BOM, tabs, commas and blank lines ended in messages such as "not enough values
to unpack", or as missing files.
"""

import pytest
from mmengine.config import Config

from mmdavpt.checks.data.before_run import check_run_data
from mmdavpt.errors import UsageError

from . import runs

GOOD = 'blue/0.png 0\ngreen/0.png 1\nred/0.png 2\n'


@pytest.mark.parametrize(
    'old, new, line, reason',
    [
        ('blue/0', '\ufeffblue/0', 1, 'begins with a byte order mark'),
        ('png 1', 'png\t1', 2, 'has a tab between path and label'),
        ('png 2', 'png,2', 3, 'has , between path and label'),
        ('0\ngreen', '0\n\ngreen', 2, 'is blank'),
        ('2\n', '2\n\n', 4, 'is blank'),
        (' 1', '', 2, 'has no label'),
        (' 1', ' green', 2, "ends in 'green', which is not a class number"),
        ('red/', 'red\\', 3, "does not exist; write 'red/0.png'"),
        ('red/', r'D:\photos\red' + '\\', 3, "not exist; write 'red/0.png'"),
    ],
)
@pytest.mark.parametrize('split', ['train', 'val'])
def test_lists_of_classification(tmp_path, old, new, line, reason, split):
    folder = runs.photos(tmp_path / 'data')
    cfg = runs.classification(folder)
    names = tuple(runs.COLORS)
    for each in ('train', 'val'):
        (folder / f'{each}.txt').write_text(GOOD)
        cfg[f'{each}_dataloader']['dataset'].update(
            ann_file=str(folder / f'{each}.txt'), classes=names
        )
    check_run_data(Config(cfg), training=True)
    (folder / f'{split}.txt').write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError) as error:
        check_run_data(Config(cfg), training=True)
    said = str(error.value)
    assert said.startswith(f'{split}_dataloader.dataset: ')
    assert f'{folder}/{split}.txt, line {line} ' in said
    assert reason in said


@pytest.mark.parametrize(
    'old, new, line, reason',
    [
        ('0\n', '\ufeff0\n', 1, 'begins with a byte order mark'),
        ('1\n', '1.png\n', 2, "does not exist; write '1'"),
        ('1\n', 'images/1.png\tlabels/1.png\n', 2, 'does not exist'),
        ('1\n', '\n1\n', 2, 'is blank'),
        ('2\n', '2\n\n', 4, 'is blank'),
    ],
)
def test_lists_of_segmentation(tmp_path, old, new, line, reason):
    folder = runs.masks(tmp_path / 'data')
    cfg = runs.segmentation(folder)
    good = '0\n1\n2\n'
    (folder / 'list.txt').write_text(good)
    cfg['train_dataloader']['dataset']['ann_file'] = 'list.txt'
    check_run_data(Config(cfg), training=True)
    (folder / 'list.txt').write_text(good.replace(old, new, 1))
    with pytest.raises(UsageError) as error:
        check_run_data(Config(cfg), training=True)
    assert f'{folder}/list.txt, line {line} ' in str(error.value)
    assert reason in str(error.value)
