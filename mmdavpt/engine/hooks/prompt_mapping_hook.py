"""The hook that keeps the class-to-prompt mapping fresh."""

import logging
import time
from typing import List, Optional

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import Subset

from mmdavpt.engine.resuming.randomness import isolated_randomness
from mmdavpt.engine.resuming.stopping import stop_request_of
from mmdavpt.mapping import describe
from mmdavpt.mapping.batch_labels import labels_of_batch
from mmdavpt.mapping.first_pass import (
    first_pass_loader,
    observe_training_set,
)
from mmdavpt.mapping.refresh_schedule import (
    RefreshSchedule,
    progress_of,
)
from mmdavpt.mapping.sharing import (
    drop_new,
    drop_shared,
    recluster,
    share_new,
)
from mmdavpt.registry import HOOKS

from ..class_counts import check_classes
from ..trained_model import guided_model_of, is_segmentor


@HOOKS.register_module()
class PromptMappingHook(Hook):
    """Cluster classes before training and after epochs (section 3.4).

    Before training, one pass over the training set with the un-prompted
    backbone gives the first class representations. In training, the model
    observes the [CLS] features of its own forward passes; after every epoch,
    or those that ``interval`` and ``begin`` say, k-means starts from the
    previous centroids. In iteration-based loops an epoch is as many
    iterations as the dataset has batches. Epochs whose features no
    re-clustering will use are not summed over processes.

    For segmentation the hook also draws each sample's guidance label, one
    class of its cropped annotation per iteration (appendix A.2). The draw
    depends on the seed, the iteration and the sample's place in the global
    batch alone: it needs no state to resume, and is the same on one process
    as on several.

    With an unguided model (``guidance=None``) the hook does nothing, so that
    one line of a config turns guidance off.

    Args:
        interval (int, optional): Epochs between two re-clusterings; None to
            keep the first mapping. Defaults to 1.
        begin (int, optional): First epoch, counted from 1, after which
            classes are re-clustered, and then every ``interval`` epochs; 0 to
            keep the first mapping. Defaults to None, ``interval``.
        iters_per_epoch (int, optional): What an epoch is in iteration-based
            loops. Defaults to None, ceil(images / global batch size).
        max_samples_per_class (int, optional): Limit of the pass before
            training. Defaults to None, all samples.
        pipeline (List[dict], optional): Transforms of the pass before
            training. Defaults to None, the training ones.
        seed (int): Seed of the draws, of the pass before training and of
            k-means++. Defaults to 0.

    Raises:
        ValueError: If a number is too small, or if ``interval`` and ``begin``
            contradict each other.
    """

    # Before CheckpointHook, so that the new mapping is in the checkpoint.
    priority = 'NORMAL'

    def __init__(
        self,
        interval: Optional[int] = 1,
        begin: Optional[int] = None,
        iters_per_epoch: Optional[int] = None,
        max_samples_per_class: Optional[int] = None,
        pipeline: Optional[List[dict]] = None,
        seed: int = 0,
    ) -> None:
        for name, value, least in (
            ('iters_per_epoch', iters_per_epoch, 1),
            ('max_samples_per_class', max_samples_per_class, 1),
            ('seed', seed, 0),
        ):
            if value is not None and value < least:
                raise ValueError(
                    f'PromptMappingHook: `{name}` should be at least {least}, '
                    f'but got {value}'
                )
        self.schedule = RefreshSchedule(interval, begin)
        self.iters_per_epoch = iters_per_epoch
        self.max_samples_per_class = max_samples_per_class
        self.pipeline = pipeline
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Check the model against the data, and make the first mapping."""
        model = guided_model_of(runner)
        if model.guidance is None:
            runner.logger.info(
                'PromptMappingHook: the model is not guided '
                '(guidance=None), nothing to do.'
            )
            return
        check_classes(model, runner.train_dataloader.dataset)
        model.guidance.has_hook = True
        self._say_if_never(runner)
        if runner._resume and model.guidance.initialized:
            self._forget_unfit(runner, model)
            return
        start = time.perf_counter()
        runner.logger.info(
            'PromptMappingHook: first pass over the training '
            'set with the un-prompted backbone.'
        )
        self._look_at_training_set(runner, model)
        self._recluster(runner, model, start, first=True)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Check the labels of the batch, and draw guidance labels."""
        model = guided_model_of(runner)
        if model.guidance is None:
            return
        if model.guidance.labels == 'present':  # read off the annotation
            return
        samples = data_batch['data_samples']
        labels = labels_of_batch(model, samples, self.seed, runner.iter)
        if is_segmentor(model):
            for sample, label in zip(samples, labels, strict=True):
                sample.set_metainfo(dict(guidance_label=label))

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Share what was observed; re-cluster in iteration-based loops."""
        model = guided_model_of(runner)
        if model.guidance is None:
            return
        # Classes are observed in every iteration: what was before the epochs
        # that count must not be added to them.
        if not self.schedule.collects(*self._progress(runner)):
            drop_new(model.guidance)
            return
        share_new(model.guidance)
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._recluster_if_due(runner, model)

    def after_train_epoch(self, runner: Runner) -> None:
        """Re-cluster in epoch-based loops."""
        model = guided_model_of(runner)
        counts_epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if model.guidance is not None and counts_epochs:
            self._recluster_if_due(runner, model)

    def _look_at_training_set(self, runner: Runner, model: nn.Module) -> None:
        """Make the first class representations, the same on all processes."""
        stop = stop_request_of(runner)
        model.guidance.reset()
        with isolated_randomness(self.seed):
            loader = first_pass_loader(
                runner.train_dataloader,
                self.pipeline,
                self.max_samples_per_class,
                self.seed,
            )
            observe_training_set(
                model,
                loader,
                lambda number, samples: labels_of_batch(
                    model, samples, self.seed, number, first_pass=True
                ),
                # Where the loader does not keep the limit already.
                None
                if isinstance(loader.dataset, Subset)
                else self.max_samples_per_class,
                stop,
            )
        stop.obey()
        share_new(model.guidance)

    def _recluster_if_due(self, runner: Runner, model: nn.Module) -> None:
        done, epoch = self._progress(runner)
        if self.schedule.is_due(done + 1, epoch):
            self._recluster(runner, model, time.perf_counter())

    def _progress(self, runner: Runner) -> tuple:
        return progress_of(runner, self.iters_per_epoch)

    def _say_if_never(self, runner: Runner) -> None:
        """Say so if the first mapping is that of the whole run."""
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        note = self.schedule.note_if_never(
            loop.max_epochs if by_epoch else loop.max_iters,
            self._progress(runner)[1],
        )
        if note:
            asked_for = self.schedule.first is None
            runner.logger.log(
                logging.INFO if asked_for else logging.WARNING,
                f'PromptMappingHook: {note}',
            )

    def _forget_unfit(self, runner: Runner, model: nn.Module) -> None:
        """Drop statistics of a checkpoint that the run does not go on from.

        mmengine's epoch-based loop, and ours if the data changed, resumes at
        the beginning of an epoch that was interrupted, and so sees its
        samples again. They cannot be told from those of earlier epochs since
        the last re-clustering, so these are dropped too. And the schedule may
        have changed to one that does not use them.
        """
        loop = runner.train_loop
        repeated = (
            isinstance(loop, EpochBasedTrainLoop)
            and runner.iter % len(runner.train_dataloader)
            and not getattr(loop, 'batches_done', 0)
        )
        if repeated or not self.schedule.collects(*self._progress(runner)):
            drop_shared(model.guidance)

    def _recluster(
        self,
        runner: Runner,
        model: nn.Module,
        start: float,
        first: bool = False,
    ) -> None:
        """Cluster what was observed, take over the mapping, and log it."""
        result, changed = recluster(model.guidance, self.seed, first)
        line = describe(result, changed, time.perf_counter() - start)
        if (result.mapping < 0).all():
            runner.logger.warning(
                f'{line}: guidance needs at least two classes'
            )
        else:
            runner.logger.info(line)
