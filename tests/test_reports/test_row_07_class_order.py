"""A class keeps its number when a run resumes, restarts or is tested.

A renamed class folder changed the order of the classes, and a resumed run
dropped from 100 to 11 % with exit status 0 [mmseg #3213].
"""

import pytest
import torch
from mmengine.config import Config

from mmdavpt.cli import test, train
from mmdavpt.cli.messages import run_command
from tools.model_converters.publish import publish

from . import runs

SAID = r"only one of them has a_red, red and other numbers belong to 'blue'"


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Train on three folders, then rename one so that the order changes."""
    root = tmp_path_factory.mktemp('run')
    folder = runs.photos(root / 'photos')
    cfg = Config(runs.classification(folder, {'train_cfg.max_epochs': 1}))
    cfg.dump(root / 'c.py')
    run_command(train, [str(root / 'c.py'), '--no-check'])
    (folder / 'red').rename(folder / 'a_red')
    return root


def refused(command, *argv, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit) as info:
        run_command(command, [*map(str, argv)])
    assert info.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize('check', [[], ['--no-check']])
def test_resume_and_test_are_refused(run, check, capsys):
    config, last = run / 'c.py', next(run.rglob('epoch_1.pth'))
    longer = ['--cfg-options', 'train_cfg.max_epochs=2']
    argv = [config, '--resume', *check, *longer]
    for said in (
        refused(train, *argv, capsys=capsys),
        refused(test, config, last, *check, capsys=capsys),
    ):
        with pytest.raises(AssertionError, match=SAID):
            raise AssertionError(said)


def test_load_from_warns(run, tmp_path):
    argv = [run / 'c.py', '--no-check', '--work-dir', tmp_path]
    last = next(run.rglob('epoch_1.pth'))
    options = ['--cfg-options', f'load_from={last}']
    run_command(train, [*map(str, [*argv, *options])])
    (log,) = tmp_path.rglob('*.log')
    with pytest.raises(AssertionError, match=f'WARNING - {last}: .*{SAID}'):
        raise AssertionError(log.read_text())


def test_checkpoint_without_names_is_accepted(run, tmp_path):
    content = torch.load(next(run.rglob('epoch_1.pth')), weights_only=False)
    del content['meta']['dataset_meta']
    torch.save(content, tmp_path / 'w.pth')
    argv = [run / 'c.py', tmp_path / 'w.pth', '--work-dir', tmp_path]
    run_command(test, [*map(str, argv)])


def test_published_weights_keep_the_names(run, tmp_path, capsys):
    """Inferencers would show names of Cityscapes."""
    content = torch.load(next(run.rglob('epoch_1.pth')), weights_only=False)
    published = publish(content)
    names = published['meta']['dataset_meta']['classes']
    assert list(names) == ['blue', 'green', 'red']
    torch.save(published, tmp_path / 'p.pth')
    said = refused(test, run / 'c.py', tmp_path / 'p.pth', capsys=capsys)
    assert 'only one of them has a_red, red' in said


WRAPPERS = dict(
    none=lambda dataset: dataset,
    repeat=lambda d: dict(type='RepeatDataset', times=2, dataset=d),
    balanced=lambda d: dict(
        type='ClassBalancedDataset', oversample_thr=0.5, dataset=d
    ),
    joined=lambda d: dict(type='ConcatDataset', datasets=[d, d]),
)


@pytest.mark.parametrize('wrapper', WRAPPERS)
@pytest.mark.parametrize('task', ['cls', 'seg'])
def test_training_and_validation_agree(task, wrapper, tmp_path):
    make, data = (runs.classification, runs.photos)
    if task == 'seg':
        make, data = (runs.segmentation, runs.masks)
    cfg = make(data(tmp_path / 'data'))
    names = ['blue', 'green', 'red']
    for split, order in (('train', names), ('val', names[::-1])):
        loader = cfg[f'{split}_dataloader'] = dict(cfg[f'{split}_dataloader'])
        dataset = dict(loader['dataset'], metainfo=dict(classes=order))
        loader['dataset'] = dataset
        if split == 'train':
            loader['dataset'] = WRAPPERS[wrapper](dataset)
    said = runs.sentence(cfg)
    assert "other numbers belong to 'red' (2 became 0), 'blue' (0 bec" in said


def test_ignored_zero_shifts_all_labels(tmp_path):
    cfg = runs.segmentation(runs.masks(tmp_path / 'masks'))
    dataset = cfg['val_dataloader']['dataset']
    dataset.update(reduce_zero_label=True)
    said = runs.sentence(cfg)
    assert 'reduce_zero_label differs between training and validation' in said
