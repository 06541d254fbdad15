"""Training loops that go on exactly where a run was stopped."""

from mmengine.dist import get_rank, get_world_size
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch import nn

from .averaged_weights import swapped_back
from .first_pass import batch_size_of
from .seeding import (
    STEP,
    VALIDATION,
    SeededBatchSampler,
    seed_generators,
    seed_of_run,
    with_seeded_batches,
)
from .stopped_checkpoint import save_stopped
from .stopping import StopInValidation, Stopped, StopRequest, be_patient

#: What the message hub, which is part of a checkpoint, keeps of a loop.
VALIDATED, PASS = 'last_validation', 'pass_of_training_set'


class ExactLoop:
    """What an exact loop adds to one of mmengine's; a mixin.

    Everything random is seeded anew for each sample and each iteration
    (:mod:`.seeding`). A pass over the training set that was stopped goes on
    with its next batch, and a validation that was cut off is done again. On
    SIGTERM or SIGUSR1 the iteration is finished, a checkpoint is saved, and
    the program ends.

    Attributes:
        batches_done (int): How many batches of the current pass a resumed run
            does not repeat.
    """

    def __init__(self, runner: Runner, dataloader, *args, **kwargs) -> None:
        if isinstance(dataloader, dict):
            seed = seed_of_run(runner)
            dataloader = be_patient(
                runner.build_dataloader(
                    with_seeded_batches(dataloader, seed), seed=seed
                )
            )
        super().__init__(runner, dataloader, *args, **kwargs)
        self.batches_done = 0
        self._stop = StopRequest()
        runner.register_hook(StopInValidation(), priority='LOWEST')

    @property
    def seeded(self) -> bool:
        """bool: Whether the loader can go on anywhere in a pass."""
        return isinstance(self.dataloader.batch_sampler, SeededBatchSampler)

    def run(self) -> nn.Module:
        """Train, from the beginning or from where the checkpoint was saved.

        Raises:
            Stopped: If a signal asked for it, after all was saved.
        """
        self._go_on()
        self._say_if_between_steps()
        self.runner.call_hook('before_train')
        try:
            with self._stop:
                self._train()
        except Stopped:
            save_stopped(self.runner, self._stop.agreed())
            self.runner.call_hook('after_run')
            raise
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, *args) -> None:
        """Iterate one batch, with random numbers of this iteration.

        Raises:
            Stopped: If a signal asked for it.
        """
        self._seed(STEP)
        super().run_iter(*args)
        # Gradients that wait for those of further batches are in no
        # checkpoint.
        if self.runner.optim_wrapper.should_update():
            self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Raise :class:`.Stopped` on all processes if one got a signal."""
        if self._stop.agreed():
            raise Stopped

    def _train(self) -> None:
        raise NotImplementedError

    def _seed(self, kind: int) -> None:
        seed_generators(seed_of_run(self.runner), kind, self._iter, get_rank())

    def _go_on(self) -> None:
        """Find the place in the training set where a checkpoint was saved."""
        length = len(self.dataloader)
        images = batch_size_of(self.dataloader) * get_world_size()
        hub = self.runner.message_hub
        same = hub.runtime_info.get(PASS, [length, images]) == [length, images]
        hub.update_info(PASS, [length, images])
        if not self.seeded:
            return
        self.dataloader.batch_sampler.reseed(seed_of_run(self.runner))
        if not same:
            self.runner.logger.warning(
                'the checkpoint is of a run with another number of training '
                f'images, batch size or processes (now {length} batches of '
                f'{images} images in all): this run goes on, but not as that '
                'one would have'
            )
        self.batches_done = self._batches_done(length, same)

    def _say_if_between_steps(self) -> None:
        """Say so if gradients that were gathered are lost."""
        counts = getattr(self.runner.optim_wrapper, '_accumulative_counts', 1)
        if self._iter % counts and self._iter < self._max_iters:
            self.runner.logger.warning(
                f'the checkpoint is of iteration {self._iter}, but a step of '
                f'the optimizer takes accumulative_counts={counts} '
                f'iterations, so the gradients of {self._iter % counts} are '
                'lost: this run goes on, but not as one without a stop would '
                f'have; save at a multiple of {counts} iterations to go on '
                'exactly'
            )

    def _batches_done(self, length: int, same: bool) -> int:
        raise NotImplementedError

    def _validation_is_due(self) -> bool:
        done = self._validation_time()
        return (
            self.runner.val_loop is not None
            and done > 0
            and done >= self.val_begin
            and (done % self.val_interval == 0 or self._is_over())
        )

    def _validation_time(self) -> int:
        raise NotImplementedError

    def _is_over(self) -> bool:
        raise NotImplementedError

    def _validate_if_lost(self) -> None:
        """Do a validation that came after the checkpoint, and is lost.

        What follows from it must not be: the best checkpoint, and learning
        rates that depend on it.
        """
        self._decide_current_val_interval()
        validated = self.runner.message_hub.runtime_info.get(VALIDATED)
        if self._validation_is_due() and validated != self._iter:
            self._validate()

    def _validate(self) -> None:
        self._seed(VALIDATION)
        hub = self.runner.message_hub
        before = hub.runtime_info.get(VALIDATED, -1)
        # Set before, since the best checkpoint is saved at the end of it.
        hub.update_info(VALIDATED, self._iter)
        try:
            with swapped_back(self.runner):
                self.runner.val_loop.run()
        except Stopped:
            hub.update_info(VALIDATED, before)
            raise


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


def with_exact_loop(train_cfg: dict) -> dict:
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
