"""A hidden folder or a blank line becomes a class: name it.

`.ipynb_checkpoints` in a folder of classes, or an empty last line in
`classes.txt`, were answered by "set num_classes=4" [mmpretrain #507].
"""

import pytest
from mmengine.config import Config

from mmdavpt.checks.data.before_run import check_run_data
from mmdavpt.errors import UsageError

from . import runs


def check(cfg):
    """Return the first sentence of the checks before a run."""
    if said := runs.sentence(cfg):
        return said
    with pytest.raises(UsageError) as error:
        check_run_data(Config(cfg), training=True)
    return str(error.value)


@pytest.mark.parametrize(
    'hidden', ['.ipynb_checkpoints', '__MACOSX', '.git', '@eaDir']
)
@pytest.mark.parametrize('images', [0, 2])
def test_a_hidden_folder_among_the_classes(tmp_path, hidden, images):
    folder = runs.photos(tmp_path / 'data')
    cfg = runs.classification(folder)
    check_run_data(Config(cfg), training=True)
    (folder / hidden).mkdir()
    for k in range(images):
        runs.paint(folder / hidden / f'{k}-checkpoint.png', (9, 9, 9))
    said = check(cfg)
    assert f'{folder}/{hidden}: hidden, but read as class 0; remove it' in said
    assert 'num_classes' not in said


def test_a_hidden_folder_inside_a_class(tmp_path):
    folder = runs.photos(tmp_path / 'data')
    runs.paint(folder / 'red/.ipynb_checkpoints/0-checkpoint.png', (9, 9, 9))
    said = check(runs.classification(folder))
    assert f'{folder}/red/.ipynb_checkpoints: hidden, but read as sa' in said


@pytest.mark.parametrize('task', ['cls', 'seg'])
@pytest.mark.parametrize('place', ['classes', 'metainfo'])
def test_a_blank_line_among_the_classes(tmp_path, task, place):
    names = tmp_path / 'classes.txt'
    names.write_text('\n'.join([*runs.COLORS, '']))
    given = {place: str(names)}
    if place == 'metainfo':
        given = dict(metainfo=dict(classes=str(names)))
    if task == 'cls':
        cfg = runs.classification(runs.photos(tmp_path / 'data'))
    else:
        given = dict(metainfo=dict(classes=str(names)))
        cfg = runs.segmentation(runs.masks(tmp_path / 'data'))
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader']['dataset'].update(given)
    assert runs.sentence(cfg) == ''
    check_run_data(Config(cfg), training=True)
    names.write_text('\n'.join([*runs.COLORS, '', '']))
    said = check(cfg)
    assert f'{names}, line 4 is blank, but counts as a class; remov' in said
    assert 'num_classes' not in said
