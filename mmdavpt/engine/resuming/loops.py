"""Training loops that resume exactly where a run was stopped."""

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator

from .exact_loop import ExactLoop


class ExactEpochLoop(ExactLoop, EpochBasedTrainLoop):
    """An epoch-based loop that resumes exactly, also within an epoch."""

    def run_epoch(self) -> None:
        """Run the rest of one epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        if self.seeded:
            self.dataloader.batch_sampler.go_to(self._epoch, self.batches_done)
        for idx, data_batch in enumerate(self.dataloader, self.batches_done):
            self.run_iter(idx, data_batch)
        self.batches_done = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _train(self) -> None:
        if self.batches_done == 0:
            self._validate_if_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()


class ExactIterLoop(ExactLoop, IterBasedTrainLoop):
    """An iteration-based loop that resumes exactly."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.seeded:
            self.dataloader_iterator = _EndlessIterator(self.dataloader)

    def _train(self) -> None:
        self.runner.call_hook('before_train_epoch')
        if self._iter > 0 and not self.fast_forward_on_resume:
            self.dataloader_iterator.skip_iter(self._iter)
        self._validate_if_due()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._validate_if_due()
        self.runner.call_hook('after_train_epoch')


class _EndlessIterator(_InfiniteDataloaderIterator):
    """mmengine's endless iterator, over seeded batches."""

    def skip_iter(self, num_iters: int) -> None:
        self._dataloader.batch_sampler.go_to(0, num_iters)

    def _reset_iterator(self) -> None:
        batches = self._dataloader.batch_sampler
        # mmengine counts passes from where this process began.
        self._epoch = batches.epoch
        batches.go_to(batches.epoch + 1, skip=0)
        super()._reset_iterator()


EXACT = {
    True: ExactEpochLoop,
    'EpochBasedTrainLoop': ExactEpochLoop,
    EpochBasedTrainLoop: ExactEpochLoop,
    False: ExactIterLoop,
    'IterBasedTrainLoop': ExactIterLoop,
    IterBasedTrainLoop: ExactIterLoop,
}


def to_exact_loop(train_cfg: dict) -> dict:
    """Return the config of a training loop with mmengine's loop made exact.

    Args:
        train_cfg (dict): With ``by_epoch`` or ``type``. A loop that is not
            mmengine's is kept.
    """
    train_cfg = dict(train_cfg)
    if 'type' not in train_cfg:
        train_cfg['type'] = EXACT[train_cfg.pop('by_epoch', True)]
    elif 'by_epoch' not in train_cfg:
        train_cfg['type'] = EXACT.get(train_cfg['type'], train_cfg['type'])
    return train_cfg
