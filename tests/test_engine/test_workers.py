"""Workers of loaders end with the training, without delay."""

import multiprocessing

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from mmdavpt.engine.resuming.stopping import Stopped, shut_down_workers
from mmdavpt.engine.runner import DAVPTRunner
from tests import toy

PERSISTENT = {
    f'{split}_dataloader.{key}': value
    for split in ('train', 'val')
    for key, value in (('num_workers', 1), ('persistent_workers', True))
}


@pytest.mark.parametrize('task', [toy.classification, toy.segmentation])
@pytest.mark.parametrize('stopped', [False, True])
def test_no_worker_is_left(tmp_path, task, stopped):
    # Of an endless iterator too, which a loop holds and no loader.
    changes = {**PERSISTENT}
    if task is toy.segmentation:
        changes['train_dataloader.persistent_workers'] = False
    runner = DAVPTRunner.from_cfg(Config(task(tmp_path, changes)))
    seen = []

    class Watch(Hook):
        def after_train_iter(self, runner, *args, **kwargs):
            seen.append(len(multiprocessing.active_children()))
            if stopped and runner.iter == 2:
                runner.train_loop.stop.signal = 15

    runner.register_hook(Watch())
    if stopped:
        with pytest.raises(Stopped) as error:
            runner.train()
        del error
    else:
        runner.train()
    assert max(seen) >= 1
    assert multiprocessing.active_children() == []
    assert len([*runner.val_dataloader]) == len(runner.val_dataloader)
    shut_down_workers(runner.val_loop)
    assert multiprocessing.active_children() == []
