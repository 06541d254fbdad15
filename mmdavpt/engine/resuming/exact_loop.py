"""What the training loops have in common: they go on, stop and validate."""

from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner
from torch import nn

from mmdavpt.mapping.loaders import batch_size_of

from .averaged_weights import restore_weights_if_stopped
from .seeding import (
    STEP,
    VALIDATION,
    SeededBatchSampler,
    seed_generators,
    seed_of_run,
    with_seeded_batches,
)
from .stopped_checkpoint import save_stopped
from .stopping import (
    StopInValidation,
    Stopped,
    StopRequest,
    ignore_signals_in_workers,
    nothing_lost,
)

#: What the message hub, which is part of a checkpoint, keeps of a loop.
VALIDATED, PASS = 'last_validation', 'pass_of_training_set'


class ExactLoop:
    """What an exact loop adds to one of mmengine's; a mixin.

    Everything random is seeded anew for each sample and each iteration
    (:mod:`.seeding`). A pass over the training set that was stopped goes on
    with its next batch, and a validation that was cut off is done again. On
    SIGTERM, SIGUSR1 or SIGINT the iteration is finished, a checkpoint is
    saved, and the program ends; before the first iteration there is nothing
    to save.

    Attributes:
        batches_done (int): How many batches of the current pass a resumed run
            does not repeat.
        stop (StopRequest): Notes signals while :meth:`run` is at work.
    """

    def __init__(self, runner: Runner, dataloader, *args, **kwargs) -> None:
        if isinstance(dataloader, dict):
            seed = seed_of_run(runner)
            dataloader = ignore_signals_in_workers(
                runner.build_dataloader(
                    with_seeded_batches(dataloader, seed), seed=seed
                )
            )
        super().__init__(runner, dataloader, *args, **kwargs)
        self.batches_done = 0
        self.stop = StopRequest()
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
        begun = False
        # Saving is inside too: what passes a signal on must not end it.
        with self.stop:
            try:
                self.runner.call_hook('before_train')
                self.stop.obey()
                begun = True
                self._train()
            except Stopped:
                number = self.stop.agreed()
                if begun:
                    save_stopped(self.runner, number)
                else:
                    self.runner.logger.warning(
                        f'The training was {nothing_lost(number)}.'
                    )
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
            self.stop.obey()

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
            with restore_weights_if_stopped(self.runner):
                self.runner.val_loop.run()
        except Stopped:
            hub.update_info(VALIDATED, before)
            raise
