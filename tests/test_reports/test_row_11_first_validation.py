"""A validation that fails is found before training, or costs little.

Labels of another size than their image, `LoadAnnotations` missing or before
`Resize`, and batches of several sizes ended in a traceback after 2,000
iterations, with the first checkpoint at 8,000
[mmseg #3469, #2763, #2952, #3640].
"""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from PIL import Image

from mmdavpt.checks.rehearsal import RehearsalHook, RehearsalPassed
from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError

from . import runs


def rehearsed(cfg):
    runner = DAVPTRunner.from_cfg(Config(cfg))
    runner.register_hook(RehearsalHook(stop=True))
    with pytest.raises((UsageError, RehearsalPassed)) as info:
        runner.train()
    return '' if info.type is RehearsalPassed else str(info.value)


@pytest.fixture
def cfg(tmp_path):
    folder = runs.masks(tmp_path / 'masks')
    cfg = runs.segmentation(folder)
    cfg['val_dataloader']['dataset']['data_root'] = str(
        runs.masks(tmp_path / 'val')
    )
    return cfg


def test_sound_validation(cfg):
    assert rehearsed(cfg) == ''


def test_label_wider_than_its_image(cfg, tmp_path):
    wide = np.zeros((32, 42), np.uint8)
    Image.fromarray(wide).save(tmp_path / 'val/labels/0.png')
    said = rehearsed(cfg)
    assert 'val/labels/0.png have 42×32 pixels, but their image has 40×32' in (
        said
    )


@pytest.mark.parametrize(
    'pipeline, said',
    [
        ((runs.LOAD, runs.RESIZE, runs.PACK), 'add LoadAnnotations to'),
        (
            (runs.LOAD, runs.ANNOTATIONS, runs.RESIZE, runs.PACK),
            'put LoadAnnotations after Resize',
        ),
    ],
)
def test_place_of_load_annotations(pipeline, said, cfg):
    cfg['val_dataloader']['dataset']['pipeline'] = [*pipeline]
    assert said in rehearsed(cfg)


def test_batch_of_several_sizes(cfg, tmp_path):
    loader = cfg['val_dataloader']
    loader.update(batch_size=2)
    keep = [runs.LOAD, runs.ANNOTATIONS, runs.PACK]
    loader['dataset']['pipeline'] = keep
    runs.masks(tmp_path / 'val', number=1, size=(24, 40))
    assert 'different sizes ((24, 40), (32, 40)): set val_dataloader' in (
        rehearsed(cfg)
    )


class Fails(BaseMetric):
    """Fail in the first validation."""

    def process(self, data_batch, data_samples):
        self.results += [0]

    def compute_metrics(self, results):
        raise ArithmeticError


CASES = dict(
    iterations=(
        runs.segmentation,
        runs.masks,
        {'train_cfg.val_interval': 2, 'train_cfg.max_iters': 6},
        'iter_2.pth',
    ),
    epochs=(
        runs.classification,
        runs.photos,
        {'train_cfg.val_interval': 1, 'train_cfg.max_epochs': 3},
        'epoch_1.pth',
    ),
    mixed=(
        runs.classification,
        runs.photos,
        {
            'train_cfg.val_interval': 1,
            'train_cfg.max_epochs': 3,
            'default_hooks.checkpoint.by_epoch': False,
        },
        'iter_2.pth',
    ),
)


def run(make, folder, changes, name, **more):
    changes = {
        **changes,
        'default_hooks.checkpoint.interval': 100,
        'default_hooks.checkpoint.save_best': 'auto',
    }
    cfg = Config({**make(folder, changes), **more})
    cfg.work_dir = str(folder.parent / name)
    cfg.experiment_name += name
    return DAVPTRunner.from_cfg(cfg)


@pytest.mark.parametrize('case', CASES)
def test_checkpoint_before_the_first_validation(case, tmp_path):
    """The run resumes from it exactly, with the validation that failed."""
    make, data, changes, first = CASES[case]
    folder = data(tmp_path / 'data')
    whole = run(make, folder, changes, 'whole')
    whole.train()
    broken = run(
        make, folder, changes, 'broken', val_evaluator=dict(type=Fails)
    )
    with pytest.raises(ArithmeticError):
        broken.train()
    files = {path.name for path in (tmp_path / 'broken').glob('*.pth')}
    assert files == {first}
    resumed = run(make, folder, changes, 'broken', resume=True)
    resumed.train()
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key
    for key in ('best_score', 'last_validation'):
        one, two = (r.message_hub.get_info(key) for r in (whole, resumed))
        assert one == two is not None


@pytest.mark.parametrize(
    'changes, files',
    [
        ({'interval': 2}, {'iter_2.pth', 'iter_4.pth', 'iter_6.pth'}),
        ({'interval': 3}, {'iter_2.pth', 'iter_3.pth', 'iter_6.pth'}),
        ({'interval': 3, 'max_keep_ckpts': 2}, {'iter_3.pth', 'iter_6.pth'}),
        ({'interval': -1}, {'iter_2.pth', 'iter_6.pth'}),
        ({'interval': -1, 'save_last': False}, set()),
    ],
)
def test_one_checkpoint_at_most(changes, files, tmp_path):
    cfg = runs.segmentation(
        runs.masks(tmp_path / 'masks'),
        {'train_cfg.val_interval': 2, 'train_cfg.max_iters': 6},
    )
    cfg['default_hooks']['checkpoint'].update(changes)
    DAVPTRunner.from_cfg(Config(cfg)).train()
    assert {path.name for path in tmp_path.rglob('*.pth')} == files
