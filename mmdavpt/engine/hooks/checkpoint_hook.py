"""Save checkpoints without ever losing the last good one."""

import os.path as osp
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from unittest.mock import patch

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import Tensor

from mmdavpt.checkpoints import SaveError, plain, tuned, write_pointer
from mmdavpt.checkpoints.writing import partial_files
from mmdavpt.errors import first_few
from mmdavpt.ranks import run_on_rank_0
from mmdavpt.registry import HOOKS

#: Attributes of the hook that a save changes.
OWN = ('last_ckpt', 'keep_ckpt_ids', 'best_ckpt_path', 'best_ckpt_path_dict')

#: Prefixes of the message hub's keys about checkpoints.
RECORDS = ('keep_ckpt_ids', 'last_ckpt', 'best_ckpt', 'best_score')


@HOOKS.register_module()
class DAVPTCheckpointHook(CheckpointHook):
    """mmengine's hook, which here deletes old files only after saving.

    An old checkpoint is deleted once the new one is on disk and
    ``last_checkpoint`` names it. If a checkpoint cannot be written, for
    example because the disk is full, the hook keeps the old one, logs an
    error, and the training continues; if the last one of a training cannot be
    written, the training ends with that error. If the first validation comes
    before the first checkpoint, one is saved before it.
    :class:`mmdavpt.engine.runner.DAVPTRunner` uses this hook for
    ``type='CheckpointHook'``.

    Args:
        tuned_only (bool): Whether to leave frozen weights out of checkpoints.
            The config's pre-trained weights and this file then make up the
            model; a fingerprint detects other frozen weights. Defaults to
            False.
        **kwargs: See :class:`mmengine.hooks.CheckpointHook`.
    """

    def __init__(self, *args, tuned_only: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.tuned_only = tuned_only
        self._unsaved: SaveError | None = None
        self._frozen: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        """Update the paths of a moved folder; warn of an earlier run.

        Raises:
            UsageError: With ``tuned_only``, if the config does not provide
                the frozen weights.
        """
        super().before_train(runner)
        self._relocate_best()
        names = sorted(path.name for path in Path(self.out_dir).glob('*.pth'))
        if names and not runner._resume and is_main_process():
            runner.logger.warning(
                f'{self.out_dir} has checkpoints of an earlier run '
                f'({first_few(names)}), which stay with those of this one; '
                'use --resume to continue it, or another --work-dir'
            )
        if self.tuned_only:
            model = tuned.tunable_model(runner.model)
            tuned.check_restorable(model)
            self._frozen = tuned.fingerprint(tuned.frozen_weights(model))

    def _relocate_best(self) -> None:
        """Point the records of a moved run to the best files in its folder.

        Otherwise it would delete those in the old folder.
        """

        def relocate(path: str | None) -> str | None:
            if path is None:
                return None
            name = osp.basename(path)
            return self.file_backend.join_path(self.out_dir, name)

        if hasattr(self, 'best_ckpt_path'):
            self.best_ckpt_path = relocate(self.best_ckpt_path)
        for key, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[key] = relocate(path)

    def save_before_validation(self, runner: Runner) -> None:
        """Save a first checkpoint, in case the validation fails.

        Our training loops call it before each validation.
        """
        wanted = self.interval > 0 or self.save_last
        if wanted and self.last_ckpt is None and not runner._resume:
            step = runner.epoch if self.by_epoch else runner.iter
            runner.logger.info('Saving a checkpoint before the validation')
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            self._save_checkpoint_with_step(runner, step, meta)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop frozen weights, and what cannot be read back safely."""
        checkpoint['meta']['versions'] = plain.package_versions()
        for key in ('meta', 'message_hub', 'param_schedulers'):
            if key in checkpoint:
                checkpoint[key] = plain.to_plain(checkpoint[key])
        if self.tuned_only and not tuned.strip_frozen(
            checkpoint, tuned.tunable_model(runner.model), self._frozen
        ):
            runner.logger.warning(
                'The frozen weights changed since the start of the training, '
                'so this checkpoint contains all weights despite '
                'tuned_only=True.'
            )

    def after_train(self, runner: Runner) -> None:
        """Publish the checkpoints, as mmengine does.

        Raises:
            SaveError: If the last checkpoint could not be written.
        """
        if self._unsaved is not None:
            raise self._unsaved
        super().after_train(runner)

    def _path_of(self, step: int) -> str:
        name = self.filename_tmpl.format(step)
        return self.file_backend.join_path(self.out_dir, name)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        """Save, then update ``last_checkpoint``, then delete the oldest."""
        with self._continue_if_save_fails(runner):
            outdated = self._outdated_steps(runner, step)
            self.last_ckpt = self._path_of(step)
            runner.message_hub.update_info('last_ckpt', self.last_ckpt)
            if is_main_process() and '://' not in self.out_dir:
                for path in partial_files(self.out_dir):
                    self._remove(runner, path)
            runner.save_checkpoint(
                self.out_dir,
                self.filename_tmpl.format(step),
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            run_on_rank_0(lambda: self._after_saving(runner, outdated))
            self._unsaved = None

    def _outdated_steps(self, runner: Runner, step: int) -> list[int]:
        """Record a checkpoint, and return those that it makes outdated."""
        if self.max_keep_ckpts <= 0:
            return []
        kept = [s for s in self.keep_ckpt_ids if s != step] + [step]
        newest = kept[-self.max_keep_ckpts :]
        self.keep_ckpt_ids = deque(newest)
        runner.message_hub.update_info('keep_ckpt_ids', newest)
        return kept[: -self.max_keep_ckpts]

    def _after_saving(self, runner: Runner, outdated: list[int]) -> None:
        """Name the saved checkpoint as the last one, and delete old ones."""
        write_pointer(runner.work_dir, self.last_ckpt)
        for step in outdated:
            self._remove(runner, self._path_of(step))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        # 'auto' is the first metric, which of an IoUMetric is aAcc. A run that
        # compared aAcc before keeps it: no mIoU would exceed its best score.
        best = runner.message_hub.runtime_info.get('best_ckpt') or ''
        if 'aAcc' not in Path(best).name:
            first = sorted(metrics, key=lambda key: not key.endswith('mIoU'))
            metrics = {name: metrics[name] for name in first}
        # mmengine deletes the old best before it saves the new one.
        outdated = []
        with (
            patch.object(self.file_backend, 'remove', outdated.append),
            self._continue_if_save_fails(runner),
        ):
            super()._save_best_checkpoint(runner, metrics)
        best = [*getattr(self, 'best_ckpt_path_dict', {}).values()]
        best.append(getattr(self, 'best_ckpt_path', None))
        # The last checkpoint may still name the old best.
        if self._unsaved is None:
            for path in outdated:
                if path not in best:  # not overwritten
                    self._remove(runner, path)

    @contextmanager
    def _continue_if_save_fails(self, runner: Runner) -> Iterator[None]:
        """Undo the records of a checkpoint that cannot be saved, and log."""
        hub = runner.message_hub
        own = {key: copy(vars(self)[key]) for key in OWN if key in vars(self)}
        info = hub.runtime_info.items()
        records = {k: v for k, v in info if k.startswith(RECORDS)}
        try:
            yield
        except SaveError as error:
            for key in [k for k in hub.runtime_info if k.startswith(RECORDS)]:
                hub.pop_info(key)
            for key, value in records.items():
                hub.update_info(key, value)
            vars(self).update(own)
            self._unsaved = error
            if is_main_process():
                runner.logger.error(
                    f'No checkpoint was saved: {error}. The last one is '
                    f'{self.last_ckpt or "none yet"}. The training '
                    'continues and saves again at the next interval.'
                )

    def _remove(self, runner: Runner, path: str) -> None:
        """Delete a file, and log if that fails."""
        try:
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
        except OSError as error:
            runner.logger.warning(f'{path} could not be removed ({error}).')
