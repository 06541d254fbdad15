"""The hook that saves checkpoints, and loses none while it does so."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import Tensor

from mmdavpt.checkpoints import SaveError, read_run_checkpoint, write_pointer
from mmdavpt.checkpoints.fingerprint import fingerprint
from mmdavpt.checkpoints.frozen import check_restorable, frozen_weights
from mmdavpt.checkpoints.plain import (
    package_versions,
    plain,
    without_functions,
)
from mmdavpt.checkpoints.tuned import strip_frozen, tunable_model
from mmdavpt.checkpoints.writing import partial_files
from mmdavpt.engine.ranks.on_main import on_main
from mmdavpt.engine.resuming.checkpoint_records import (
    relocate_best_checkpoint,
    snapshot_records,
)
from mmdavpt.errors import UsageError
from mmdavpt.registry import HOOKS


@HOOKS.register_module()
class DAVPTCheckpointHook(CheckpointHook):
    """mmengine's hook, which deletes only after it has saved.

    A checkpoint replaces the one before it when it is on the disk and
    ``last_checkpoint`` names it. One that cannot be written, as on a full
    disk, leaves the one before it, is logged as an error, and the training
    goes on; if the last one of a training cannot be written, it ends with
    that error. The first one of a start is read back, and an error is logged
    if that fails. :class:`mmdavpt.engine.runner.DAVPTRunner` uses this hook
    where a config says ``type='CheckpointHook'``.

    Args:
        tuned_only (bool): Whether to leave out of checkpoints all weights
            that are frozen, which are most of them: the config's pre-trained
            weights and this file together are the model. A fingerprint in it
            tells them from others. Defaults to False.
        **kwargs: Of :class:`mmengine.hooks.CheckpointHook`.
    """

    def __init__(self, *args, tuned_only: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.tuned_only = tuned_only
        self._unsaved: SaveError | None = None
        self._read_back = False
        self._frozen: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        """Find the best checkpoint of a folder that was moved.

        Raises:
            UsageError: If checkpoints are to hold tuned weights only, but the
                frozen ones could not be had again from the config.
        """
        super().before_train(runner)
        relocate_best_checkpoint(self)
        if self.tuned_only:
            model = tunable_model(runner.model)
            check_restorable(model)
            self._frozen = fingerprint(frozen_weights(model))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Leave frozen weights out, and what cannot be read back safely."""
        checkpoint['meta']['versions'] = package_versions()
        for key in ('meta', 'message_hub'):
            checkpoint[key] = plain(checkpoint[key])
        if 'param_schedulers' in checkpoint:
            checkpoint['param_schedulers'] = without_functions(
                checkpoint['param_schedulers']
            )
        if self.tuned_only and not strip_frozen(
            checkpoint, tunable_model(runner.model), self._frozen
        ):
            runner.logger.warning(
                'Frozen weights are not as they were when the training '
                'started, so this checkpoint holds all weights, in spite of '
                'tuned_only=True.'
            )

    def after_train(self, runner: Runner) -> None:
        """Publish, as the host does.

        Raises:
            SaveError: If the last checkpoint could not be written.
        """
        if self._unsaved is not None:
            raise self._unsaved
        super().after_train(runner)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        """Save, then name it as the last, and only then delete the oldest."""
        with self._nothing_lost(runner):
            if self.max_keep_ckpts > 0:
                kept = [s for s in self.keep_ckpt_ids if s != step] + [step]
                outdated = kept[: -self.max_keep_ckpts]
                self.keep_ckpt_ids = deque(kept[-self.max_keep_ckpts :])
                runner.message_hub.update_info(
                    'keep_ckpt_ids', list(self.keep_ckpt_ids)
                )
            else:
                outdated = []
            name = self.filename_tmpl.format(step)
            self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
            runner.message_hub.update_info('last_ckpt', self.last_ckpt)
            if is_main_process() and '://' not in self.out_dir:
                for path in partial_files(self.out_dir):
                    self._remove(runner, path)
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            on_main(lambda: self._name_and_clear_up(runner, outdated))
            self._unsaved = None

    def _name_and_clear_up(self, runner: Runner, outdated: list) -> None:
        """Name the checkpoint that was saved, and remove those before it."""
        write_pointer(runner.work_dir, self.last_ckpt)
        self._check_first(runner)
        for step in outdated:
            self._remove(
                runner,
                self.file_backend.join_path(
                    self.out_dir, self.filename_tmpl.format(step)
                ),
            )

    def _check_first(self, runner: Runner) -> None:
        """Read the first checkpoint of a start, and say so if that fails.

        What makes it unreadable is in all that follow, and would else be
        found when they are needed.
        """
        if self._read_back or '://' in self.last_ckpt:
            return
        self._read_back = True
        try:
            # Tensors are read and let go of, one by one.
            read_run_checkpoint(self.last_ckpt, map_location='meta')
        except UsageError as error:
            runner.logger.error(
                'The first checkpoint cannot be read back, so no run can go '
                f'on from those of this one as it is: {error}'
            )

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        backend = self.file_backend
        # The host deletes the best so far before it saves the better one.
        self.file_backend = waiting = _WaitingRemovals(backend)
        try:
            with self._nothing_lost(runner):
                super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        # Not while the last checkpoint names the one before.
        if self._unsaved is None:
            for path in waiting.paths:
                if path not in self._best_paths():  # not written anew
                    self._remove(runner, path)

    @contextmanager
    def _nothing_lost(self, runner: Runner) -> Iterator[None]:
        """Forget what was to be saved if it could not, and say so."""
        restore = snapshot_records(self, runner.message_hub)
        try:
            yield
        except SaveError as error:
            restore()
            self._unsaved = error
            if is_main_process():
                runner.logger.error(
                    f'No checkpoint was saved: {error}. The last one is '
                    f'{self.last_ckpt or "none of this start"}; the training '
                    'goes on, and saves again when it is time'
                )

    def _remove(self, runner: Runner, path: str) -> None:
        """Remove a file that is needed no more, and say so if that fails."""
        try:
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
        except OSError as error:
            runner.logger.warning(f'{path} could not be removed ({error}).')

    def _best_paths(self) -> list[str]:
        return [
            getattr(self, 'best_ckpt_path', None),
            *getattr(self, 'best_ckpt_path_dict', {}).values(),
        ]


class _WaitingRemovals:
    """A storage that only notes what it is asked to delete.

    Attributes:
        paths (list[str]): What was to be deleted.
    """

    def __init__(self, backend) -> None:
        self._backend = backend
        self.paths = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        """Delete a file later."""
        self.paths.append(path)
