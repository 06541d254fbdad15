"""Labels of another size than their image never train or score silently.

Transposed labels trained with a batch of one: resizing or cropping gave both
the same size. The checks before a run decode evenly spread samples only.
"""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError

from . import runs

CROP = dict(type='RandomCrop', crop_size=(16, 16))
SAID = 'labels/2.png have 32×40 pixels, but their image .*2.png has 40×32'


@pytest.mark.parametrize(
    'split, change, workers',
    [
        ('train', runs.RESIZE, 0),
        ('train', runs.RESIZE, 1),
        ('train', CROP, 0),
        ('val', runs.RESIZE, 0),
    ],
)
def test_first_transposed_label_stops_the_run(
    split, change, workers, tmp_path
):
    cfg = Config(
        runs.segmentation(
            runs.masks(tmp_path / 'train'), {'train_cfg.val_interval': 1}
        )
    )
    cfg.val_dataloader.dataset.data_root = str(runs.masks(tmp_path / 'val'))
    cfg.custom_hooks = [dict(type='mmdavpt.TrainingCheckHook')]
    cfg.train_dataloader.batch_size = 1
    cfg.train_dataloader.dataset.pipeline[2] = change
    cfg.train_cfg.max_iters = 12
    cfg[f'{split}_dataloader'].num_workers = workers
    path = tmp_path / split / 'labels/2.png'
    transposed = np.asarray(Image.open(path)).T
    Image.fromarray(transposed).save(path)
    with pytest.raises(UsageError, match=SAID):
        DAVPTRunner.from_cfg(cfg).train()


def test_labels_before_images_and_drawn_labels(tmp_path):
    """Order and sources that are right do not stop a run."""
    cfg = Config(runs.segmentation(runs.masks(tmp_path / 'masks')))
    cfg.custom_hooks = [dict(type='mmdavpt.TrainingCheckHook')]
    cfg.train_dataloader.dataset.pipeline = [
        runs.ANNOTATIONS,
        runs.LOAD,
        CROP,
        runs.PACK,
    ]
    DAVPTRunner.from_cfg(cfg).train()
    drawn = Config(runs.toy.segmentation(tmp_path / 'drawn'))
    drawn.custom_hooks.append(dict(type='mmdavpt.TrainingCheckHook'))
    drawn.train_dataloader.dataset.pipeline.insert(0, CROP)
    DAVPTRunner.from_cfg(drawn).train()
