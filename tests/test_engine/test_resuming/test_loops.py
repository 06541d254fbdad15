"""Exact loops replace mmengine's, with the options of the config."""

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mmdavpt.engine.resuming.loops import (
    ExactEpochLoop,
    ExactIterLoop,
    to_exact_loop,
)
from mmdavpt.engine.runner import DAVPTRunner
from tests import toy


@pytest.mark.parametrize(
    'given, kind',
    [
        (dict(by_epoch=True), ExactEpochLoop),
        (dict(by_epoch=False), ExactIterLoop),
        (dict(), ExactEpochLoop),
        (dict(type='EpochBasedTrainLoop'), ExactEpochLoop),
        (dict(type=IterBasedTrainLoop), ExactIterLoop),
        (dict(type='my.Loop'), 'my.Loop'),
    ],
)
def test_mmengine_loops_become_exact(given, kind):
    assert to_exact_loop(dict(given, x=1)) == dict(type=kind, x=1)


def test_contradicting_loop_config_is_kept():
    both = dict(type='IterBasedTrainLoop', by_epoch=False)
    assert to_exact_loop(both) == both


class Images(Hook):
    """Keeps the names of the images of each iteration."""

    def __init__(self):
        self.names = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.names.append([x.img_path for x in data_batch['data_samples']])


def test_fast_forward_on_resume_restarts_the_images(tmp_path):
    def names(folder, **changes):
        cfg = toy.segmentation(tmp_path / folder, changes)
        runner = DAVPTRunner.from_cfg(Config(dict(cfg, resume=True)))
        images = Images()
        runner.register_hook(images)
        runner.train()
        return images.names

    expected = names('whole')
    for skip in (False, True):
        folder = f'stopped {skip}'
        assert names(folder, **{'train_cfg.max_iters': 1}) == expected[:1]
        again = names(folder, **{'train_cfg.fast_forward_on_resume': skip})
        assert again == (expected[:3] if skip else expected[1:])


def test_a_validation_that_the_checkpoint_knows_is_not_repeated(tmp_path):
    def run(epochs, **options):
        changes = {'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': 1}
        runner = DAVPTRunner.from_cfg(
            Config({**toy.classification(tmp_path, changes), **options})
        )
        validated = []
        evaluate = runner.val_loop.run
        runner.val_loop.run = lambda: (
            validated.append(runner.epoch) or (evaluate())
        )
        runner.train()
        return runner, validated

    runner, validated = run(1)
    assert validated == [1]
    meta = dict(epoch=runner.epoch, iter=runner.iter)
    runner.save_checkpoint(str(tmp_path), 'after.pth', meta=meta)
    path = str(tmp_path / 'after.pth')
    assert run(2, resume=True, load_from=path)[1] == [2]
