"""The training loops, which go on exactly where a run was stopped."""

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator

from .exact_loop import ExactLoop


class ExactEpochLoop(ExactLoop, EpochBasedTrainLoop):
    """An epoch-based loop that goes on exactly, also within an epoch."""

    def run_epoch(self) -> None:
        """Iterate what is left of one epoch."""
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
            self._validate_if_lost()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._validation_is_due():
                self._validate()

    def _batches_done(self, length: int, same: bool) -> int:
        done = self._iter - self._epoch * length
        if same and 0 <= done <= length:
            return done
        return 0

    def _validation_time(self) -> int:
        return self._epoch

    def _is_over(self) -> bool:
        return self._epoch == self._max_epochs


class ExactIterLoop(ExactLoop, IterBasedTrainLoop):
    """An iteration-based loop that goes on exactly."""

    def __init__(self, runner: Runner, dataloader, *args, **kwargs) -> None:
        super().__init__(runner, dataloader, *args, **kwargs)
        if self.seeded:
            self.dataloader_iterator = _EndlessIterator(self.dataloader)

    def _train(self) -> None:
        self.runner.call_hook('before_train_epoch')
        if self._iter > 0 and not self.fast_forward_on_resume:
            self.dataloader_iterator.skip_iter(self._iter)
        self._validate_if_lost()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            if self._validation_is_due():
                self._validate()
        self.runner.call_hook('after_train_epoch')

    def _batches_done(self, length: int, same: bool) -> int:
        return self._iter

    def _validation_time(self) -> int:
        return self._iter

    def _is_over(self) -> bool:
        return self._iter == self._max_iters


class _EndlessIterator(_InfiniteDataloaderIterator):
    """The host's endless iterator, over batches that have seeds."""

    def skip_iter(self, num_iters: int) -> None:
        self._dataloader.batch_sampler.go_to(0, num_iters)

    def _reset_iterator(self) -> None:
        batches = self._dataloader.batch_sampler
        # The host counts passes from where it began itself.
        self._epoch = batches.epoch
        batches.go_to(batches.epoch + 1, skip=0)
        super()._reset_iterator()


def to_exact_loop(train_cfg: dict) -> dict:
    """Return the config of a training loop, with the host's made exact.

    Args:
        train_cfg (dict): With ``by_epoch`` or ``type``. A type that is not
            of the host stays what it is.
    """
    train_cfg = dict(train_cfg)
    if 'type' not in train_cfg:
        by_epoch = train_cfg.pop('by_epoch', True)
        train_cfg['type'] = EXACT[by_epoch]
    elif 'by_epoch' not in train_cfg:
        train_cfg['type'] = EXACT.get(train_cfg['type'], train_cfg['type'])
    return train_cfg


EXACT = {
    True: ExactEpochLoop,
    'EpochBasedTrainLoop': ExactEpochLoop,
    EpochBasedTrainLoop: ExactEpochLoop,
    False: ExactIterLoop,
    'IterBasedTrainLoop': ExactIterLoop,
    IterBasedTrainLoop: ExactIterLoop,
}
