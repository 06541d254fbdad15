"""Half of the photos are .webp, .JPG or .jpeg: all of them are used.

`CustomDataset` used 9 of 18 without a word [mmdet #11562].
"""

from collections import Counter

import numpy as np
import pytest
from mmengine.config import Config

from mmdavpt.checks.data.before_run import check_run_data
from mmdavpt.engine.runner import DAVPTRunner

from . import runs

SUFFIXES = ('.webp', '.JPG', '.jpeg', '.png', '.bmp', '.tif')


@pytest.fixture
def cfg(tmp_path):
    """A run over 6 photos of each of 3 colors, each with another suffix."""
    folder = runs.photos(tmp_path / 'photos', number=len(SUFFIXES))
    for name in runs.COLORS:
        for k, suffix in enumerate(SUFFIXES):
            (folder / name / f'{k}.png').unlink()
            path = folder / name / f'{k}{suffix}'
            runs.paint(path, runs.COLORS[name], seed=k)
    cfg = runs.classification(folder)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader']['dataset']['type'] = 'mmdavpt.ImageFolder'
    return Config(cfg)


def test_18_of_18_photos_are_used(cfg):
    assert runs.sentence(cfg) == ''
    check_run_data(cfg, training=True)
    runner = DAVPTRunner.from_cfg(cfg)
    colors = np.array([*runs.COLORS.values()])[:, ::-1]  # BGR
    for loader in (runner.train_dataloader, runner.val_dataloader):
        found = Counter()
        for batch in loader:
            for pixels, sample in zip(*batch.values(), strict=True):
                label = sample.gt_label.item()
                mean = pixels.float().mean((1, 2)).numpy()
                assert np.abs(mean - colors[label]).max() < 12
                found[label] += 1
        assert found == {0: 6, 1: 6, 2: 6}
