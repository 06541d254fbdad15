"""The hook that clusters classes and draws guidance labels."""

import math

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmdavpt.engine.class_counts import check_classes
from mmdavpt.engine.resuming import stopping
from mmdavpt.errors import check_count
from mmdavpt.mapping import agreement, loaders, refresh_schedule
from mmdavpt.randomness import isolated_randomness
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap


@HOOKS.register_module()
class PromptMappingHook(Hook):
    """Cluster classes before training and after epochs (section 3.4).

    Before training, one pass over the training set with the un-prompted
    backbone gives the first class representations. During training, the model
    observes the [CLS] features of its own forward passes; after every epoch,
    or as ``interval`` and ``begin`` say, k-means starts from the previous
    centroids. In iteration-based loops an epoch is as many iterations as the
    dataset has batches. Statistics that no re-clustering will use are dropped.

    For segmentation the hook also draws each sample's guidance label, one
    class of its cropped annotation per iteration (appendix A.2).

    The visualizer logs how many classes each refresh moved to another prompt
    as ``moved_classes``.

    With an unguided model (``guidance=None``) the hook does nothing.

    Args:
        interval (int, optional): Epochs between two re-clusterings; None to
            keep the first mapping. Defaults to 1.
        begin (int, optional): First epoch, counted from 1, after which
            classes are re-clustered, and then every ``interval`` epochs; 0 to
            keep the first mapping. Defaults to None, ``interval``.
        iters_per_epoch (int, optional): Iterations of an epoch in
            iteration-based loops. Defaults to None, ceil(images / global
            batch size).
        seed (int): Seed of the draws, of the pass before training and of
            k-means++. Defaults to 0.

    Raises:
        UsageError: If a number is invalid, or if ``interval`` and ``begin``
            contradict each other.
    """

    # Before CheckpointHook, so that the new mapping is in the checkpoint.
    priority = 'NORMAL'

    def __init__(
        self,
        interval: int | None = 1,
        begin: int | None = None,
        iters_per_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        name = 'PromptMappingHook: `{}`'.format
        check_count(name('iters_per_epoch'), iters_per_epoch, 1)
        check_count(name('seed'), seed, 0)
        self.schedule = refresh_schedule.RefreshSchedule(interval, begin)
        self.iters_per_epoch = iters_per_epoch
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Check the model against the data, and make the first mapping."""
        model = unwrap(runner.model)
        if not hasattr(model, 'guidance'):
            raise TypeError(
                'PromptMappingHook needs a DAVPTImageClassifier or a '
                f'DAVPTEncoderDecoder, but got {type(model).__name__}; set '
                "model.type='mmdavpt....' or remove the hook"
            )
        if model.guidance is None:
            runner.logger.info(
                'PromptMappingHook: guidance=None, so there is nothing to do.'
            )
            return
        check_classes(model, runner.train_dataloader.dataset)
        model.guidance.seed = self.seed
        self._warn_if_never_refreshed(runner)
        if runner._resume and model.guidance.initialized:
            self._drop_stale_statistics(runner, model)
        else:
            self._fit_mapping(runner, model)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Check the labels of the batch, and draw guidance labels."""
        model = unwrap(runner.model)
        if model.guidance is None or model.guidance.labels == 'present':
            return
        samples = data_batch['data_samples']
        labels = model.draw_labels(samples, runner.iter)
        for sample, label in zip(samples, labels, strict=True):
            sample.set_metainfo(dict(guidance_label=label))

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Share new statistics; re-cluster in iteration-based loops."""
        model = unwrap(runner.model)
        if model.guidance is None:
            return
        # Shared in every iteration, so that rank 0 saves complete statistics.
        if self.schedule.collects(*self._progress(runner)):
            model.guidance.collect()
        else:
            model.guidance.drop_new()
        agreement.check_same_mapping(model.guidance.mapping)
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._refresh(runner, model, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Re-cluster in epoch-based loops."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._refresh(runner, unwrap(runner.model), runner.iter)

    def _fit_mapping(self, runner: Runner, model: nn.Module) -> None:
        """Call `model.fit_mapping`, but stop on a signal."""
        runner.logger.info(
            'PromptMappingHook: first pass over the training set with the '
            'un-prompted backbone.'
        )
        stop = stopping.stop_request_of(runner)
        with isolated_randomness(self.seed):
            loader = runner.train_dataloader
            loader = loaders.first_pass_loader(loader, self.seed)
            stopping.ignore_signals_in_workers(loader)
            model.observe_training_set(loader, lambda: stop.signal)
        stop.obey()
        model.refresh_mapping()

    def _refresh(self, runner: Runner, model: nn.Module, step: int) -> None:
        """Re-cluster if it is due; log how many classes moved at a step."""
        done, epoch = self._progress(runner)
        if self.schedule.is_due(done + 1, epoch):
            moved = model.refresh_mapping()
            runner.visualizer.add_scalar('moved_classes', moved, step)

    def _progress(self, runner: Runner) -> tuple[int, int]:
        """Return epochs done, and 1; or iterations done, and per epoch."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            return runner.epoch, 1
        if self.iters_per_epoch is not None:
            return runner.iter, self.iters_per_epoch
        loader = runner.train_dataloader
        images = loaders.batch_size_of(loader) * get_world_size()
        return runner.iter, math.ceil(len(loader.dataset) / images)

    def _warn_if_never_refreshed(self, runner: Runner) -> None:
        """Warn if the run ends before the first re-clustering."""
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        total = loop.max_epochs if by_epoch else loop.max_iters
        epoch = self._progress(runner)[1]
        if self.schedule.is_missed(total, epoch):
            runner.logger.warning(
                'PromptMappingHook: the first mapping is kept for the whole '
                'training: the first refresh would be after epoch '
                f'{self.schedule.first}, but the training has '
                f'{total / epoch:g}'
            )

    def _drop_stale_statistics(self, runner: Runner, model: nn.Module) -> None:
        """Drop statistics of a checkpoint that the run will not use.

        mmengine's epoch-based loop, and ours if the data changed, resumes at
        the beginning of an interrupted epoch and so sees its samples again.
        They cannot be separated from those of earlier epochs since the last
        re-clustering, so these are dropped too. The schedule may also have
        changed to one that does not use them.
        """
        loop = runner.train_loop
        repeated = (
            isinstance(loop, EpochBasedTrainLoop)
            and runner.iter % len(runner.train_dataloader)
            and not getattr(loop, 'batches_done', 0)
        )
        if repeated or not self.schedule.collects(*self._progress(runner)):
            model.guidance.drop_collected()
