"""Masks of 0 and 255 are trained and scored as two classes.

Without a map, 255 is ignored: the scores were 100, and nan for the object
[mmseg #1609, #1558].
"""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub
from PIL import Image

from mmdavpt.checks.data.before_run import check_run_data
from mmdavpt.datasets.load_masks import suggest_value_map
from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError

from . import runs


@pytest.fixture
def folder(tmp_path):
    """Masks of 0 and 255, which are 60 % and 40 % of the pixels."""
    folder = runs.masks(tmp_path / 'masks', values=(0, 255))
    for k in range(4):
        labels = np.zeros((30, 40), np.uint8)
        labels[: 3 * (k + 2)] = 255
        Image.fromarray(labels).save(folder / f'labels/{k}.png')
        photo = np.where(labels[..., None], (220, 30, 30), (30, 60, 220))
        Image.fromarray(photo.astype(np.uint8)).save(
            folder / f'images/{k}.png'
        )
    return folder


def config(folder, **kwargs):
    """Return a run that loads the masks with ``LoadMasks``."""
    cfg = runs.segmentation(folder, classes=('paper', 'ink'))
    for split in ('train', 'val'):  # and 'test', which is 'val'
        dataset = cfg[f'{split}_dataloader']['dataset']
        dataset['type'] = 'mmdavpt.SegmentationFolder'
        del dataset['img_suffix']
        dataset['pipeline'] = [
            dict(type='mmdavpt.LoadMasks', **kwargs)
            if step['type'] == 'LoadAnnotations'
            else step
            for step in dataset['pipeline']
        ]
    return Config(cfg)


def test_without_a_map_the_check_suggests_it(folder):
    with pytest.raises(
        UsageError,
        match=r'masks contain only 0, 255.*ink.*'
        r"type='mmdavpt.LoadMasks', value_map=\{0: 0, 255: 1\}",
    ):
        check_run_data(config(folder), training=True)


def test_the_suggested_map_gives_both_classes(folder):
    files = sorted((folder / 'labels').iterdir())
    values = {v for f in files for v in np.unique(np.asarray(Image.open(f)))}
    value_map = suggest_value_map(values)
    assert value_map == {0: 0, 255: 1}
    cfg = config(folder, value_map=value_map)
    assert runs.sentence(cfg) == ''
    check_run_data(cfg, training=True)
    runner = DAVPTRunner.from_cfg(cfg)
    labels = [
        sample.gt_sem_seg.data.unique(return_counts=True)
        for batch in runner.val_dataloader
        for sample in batch['data_samples']
    ]
    assert all(values.tolist() == [0, 1] for values, _ in labels)
    ink = sum(counts[1].item() for _, counts in labels)
    assert ink == 40 * 3 * (2 + 3 + 4 + 5)
    runner.train()
    scores = MessageHub.get_instance(runner.experiment_name).log_scalars
    for name in ('mIoU', 'mAcc', 'aAcc'):
        assert 0 < scores[f'val/{name}'].current() <= 100
