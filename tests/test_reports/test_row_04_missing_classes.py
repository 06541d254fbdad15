"""A class that never occurs is named before training.

Masks of 0 and 255 passed all checks: 255 is ignored, so one class was left,
and training reported aAcc 100, mIoU 100 and nan [mmseg #1609, #1558].
"""

import shutil

import pytest
from mmengine.config import Config

from mmdavpt.checks.data.before_run import check_run_data
from mmdavpt.checks.data.report import make_report
from mmdavpt.errors import UsageError

from . import runs

ADVICE = "dict(type='mmdavpt.LoadMasks', value_map={0: 0, 255: 1})"
SPLITS = ('train', 'val', 'test')


@pytest.fixture
def binary(tmp_path):
    """The config of a run on masks of 0 and 255."""
    folder = runs.masks(tmp_path / 'masks', values=(0, 255))
    return Config(runs.segmentation(folder, classes=('paper', 'ink')))


def test_binary_masks_stop_a_run(binary):
    with pytest.raises(UsageError) as error:
        check_run_data(binary, training=True)
    said = str(error.value)
    assert 'masks contain only 0, 255' in said
    assert 'no pixel in 4 label files has the class ink (1)' in said
    assert f'load them with {ADVICE} in place of LoadAnnotations' in said


@pytest.mark.parametrize('split', SPLITS)
def test_binary_masks_in_the_report_of_each_split(binary, split):
    report = make_report(binary, [split])
    (found,) = report.all_findings
    assert (found.kind, found.severity, found.split) == (
        'class_without_pixels',
        'error',
        split,
    )
    assert ADVICE in found.sentence
    assert report.summaries[0]['pixels_per_class']['ink'] == 0


def test_ignored_borders_are_no_binary_masks(tmp_path):
    folder = runs.masks(tmp_path / 'masks', values=(0, 1, 255))
    cfg = Config(runs.segmentation(folder, classes=('paper', 'ink')))
    notes = check_run_data(cfg, training=True)
    assert all('the training set' in note for note in notes)


def test_a_class_without_images(tmp_path):
    folder = runs.photos(tmp_path / 'data')
    cfg = Config(runs.classification(folder))
    cfg.val_dataloader.dataset.data_prefix = str(tmp_path / 'val')
    shutil.copytree(folder, tmp_path / 'val')
    for image in (tmp_path / 'val/red').iterdir():
        image.unlink()
    report = make_report(cfg, SPLITS)
    (found,) = (f for f in report.all_findings if 'class' in f.kind)
    assert found.kind == 'class_without_images' and found.split == 'val'
    assert 'no image has the class red (2)' in found.sentence
