"""Base of the training loops: resume exactly, stop on signals, validate."""

import os.path as osp
import signal

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmdavpt.checkpoints import write_pointer
from mmdavpt.engine.resuming.stopping import ignore_signals_in_workers
from mmdavpt.mapping.loaders import batch_size_of
from mmdavpt.ranks import run_on_rank_0

from . import seeding
from .stopping import StopInValidation, Stopped, StopRequest

#: Keys of the message hub, which every checkpoint contains.
VALIDATED, PASS = 'last_validation', 'pass_of_training_set'
#: One file name for all stops: the next stop replaces it.
STOPPED = 'stopped.pth'


class ExactLoop:
    """A mixin that makes one of mmengine's training loops resume exactly.

    It reseeds all random generators for each sample and each iteration
    (:mod:`.seeding`). A pass over the training set that was stopped continues
    with its next batch, and a validation that was cut off is repeated. On
    SIGTERM, SIGUSR1 or SIGINT it finishes the iteration, saves a checkpoint
    and ends the program; before the first iteration there is nothing to save.

    Attributes:
        batches_done (int): How many batches of the current epoch a resumed
            run skips.
        stop (StopRequest): Notes signals while :meth:`run` is active.
    """

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict, *args, **kwargs
    ) -> None:
        if isinstance(dataloader, dict):
            seed = seeding.seed_of_run(runner)
            dataloader = seeding.with_seeded_batches(dataloader, seed)
            dataloader = runner.build_dataloader(dataloader, seed=seed)
            ignore_signals_in_workers(dataloader)
        super().__init__(runner, dataloader, *args, **kwargs)
        self.batches_done = 0
        self.stop = StopRequest()
        runner.register_hook(StopInValidation(), priority='LOWEST')

    @property
    def seeded(self) -> bool:
        """bool: Whether the loader can start anywhere in a pass."""
        sampler = self.dataloader.batch_sampler
        return isinstance(sampler, seeding.SeededBatchSampler)

    @property
    def progress(self) -> tuple[int, int]:
        """tuple[int, int]: Epochs or iterations that are done, of how many."""
        if isinstance(self, IterBasedTrainLoop):
            return self._iter, self._max_iters
        return self._epoch, self._max_epochs

    def run(self) -> nn.Module:
        """Train from the beginning, or from where the checkpoint was saved.

        Raises:
            Stopped: On a signal, after the checkpoint was saved.
        """
        self._find_position()
        self._warn_if_gradients_are_lost()
        self._warn_if_finished()
        begun = False
        # Save inside as well: a repeated signal must not end the saving.
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
                        'The training was stopped by '
                        f'{signal.Signals(number).name} outside an iteration, '
                        'so there is nothing to save; start it again with '
                        '--resume to continue.'
                    )
                self.runner.call_hook('after_run')
                raise
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, *args) -> None:
        """Run one iteration with its own random numbers.

        Raises:
            Stopped: On a signal.
        """
        self._seed(seeding.STEP)
        super().run_iter(*args)
        # No checkpoint contains the gradients that wait for further batches.
        if self.runner.optim_wrapper.should_update():
            self.stop.obey()

    def _train(self) -> None:
        """Run the remaining iterations."""

    def _seed(self, kind: int) -> None:
        seed = seeding.seed_of_run(self.runner)
        seeding.seed_generators(seed, kind, self._iter, get_rank())

    def _find_position(self) -> None:
        """Find where in the training set the checkpoint was saved."""
        length = len(self.dataloader)
        images = batch_size_of(self.dataloader) * get_world_size()
        hub = self.runner.message_hub
        same = hub.runtime_info.get(PASS, [length, images]) == [length, images]
        hub.update_info(PASS, [length, images])
        if not self.seeded:
            return
        self.dataloader.batch_sampler.reseed(seeding.seed_of_run(self.runner))
        if not same:
            self.runner.logger.warning(
                'the checkpoint is from a run with another number of training '
                f'images, batch size or number of processes (now {length} '
                f'batches of {images} images in all), so this run continues '
                'differently from the original one'
            )
        done = self._iter - self._epoch * length
        self.batches_done = done if same and 0 <= done <= length else 0

    def _warn_if_gradients_are_lost(self) -> None:
        """Warn if the checkpoint lies between two steps of the optimizer."""
        counts = getattr(self.runner.optim_wrapper, '_accumulative_counts', 1)
        lost = self._iter % counts
        if lost and self._iter < self._max_iters:
            self.runner.logger.warning(
                f'the checkpoint of iteration {self._iter} lies within a step '
                f'of accumulative_counts={counts} iterations, so the '
                f'gradients of {lost} are lost and the resumed run is not '
                f'exact; save at multiples of {counts} iterations'
            )

    def _warn_if_finished(self) -> None:
        """Warn if a resumed training has nothing left to do."""
        done, total = self.progress
        if done >= total:
            by_iters = isinstance(self, IterBasedTrainLoop)
            unit = 'iters' if by_iters else 'epochs'
            self.runner.logger.warning(
                f'the checkpoint has finished {done} {unit} and the training '
                f'ends at {total}, so nothing is trained; to train longer, '
                f'raise train_cfg.max_{unit}'
            )

    def _validate_if_due(self) -> None:
        """Validate, also if the checkpoint preceded a validation that is lost.

        The best checkpoint and some learning rates depend on it.
        """
        self._decide_current_val_interval()
        validated = self.runner.message_hub.runtime_info.get(VALIDATED)
        done, total = self.progress
        if self.runner.val_loop is None or done < max(1, self.val_begin):
            return
        due = done % self.val_interval == 0 or done == total
        if due and validated != self._iter:
            self._validate()

    def _validate(self) -> None:
        # Before the validation is noted, so that a resumed run repeats it.
        self.runner.call_hook('save_before_validation')
        self._seed(seeding.VALIDATION)
        hub = self.runner.message_hub
        before = hub.runtime_info.get(VALIDATED, -1)
        # Set first, since the validation ends with saving the best checkpoint.
        hub.update_info(VALIDATED, self._iter)
        try:
            self.runner.val_loop.run()
        except Stopped:
            hub.update_info(VALIDATED, before)
            raise


def save_stopped(runner: Runner, number: int) -> None:
    """Save the checkpoint of a stopped training, and log where it is.

    All ranks call it together, between two iterations or in a validation.

    Args:
        runner (Runner): The runner.
        number (int): The number of the signal.

    Raises:
        SaveError: On all ranks, if the checkpoint cannot be written.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    folder = hooks[0].out_dir if hooks else runner.work_dir
    path = osp.join(folder, STOPPED)
    meta = dict(epoch=runner.epoch, iter=runner.iter)
    runner.save_checkpoint(folder, STOPPED, meta=meta)
    run_on_rank_0(lambda: write_pointer(runner.work_dir, path))
    runner.logger.warning(
        f'The training was stopped by {signal.Signals(number).name} after '
        f'iteration {runner.iter} of {runner.max_iters} and saved in {path}; '
        'start it again with --resume to continue.'
    )
