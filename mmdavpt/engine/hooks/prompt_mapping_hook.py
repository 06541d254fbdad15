"""The hook that keeps the class-to-prompt mapping fresh."""

import math
import time
from typing import List, Optional, Sequence

import numpy as np
from mmengine.dist import (
    all_reduce,
    broadcast_object_list,
    get_rank,
    get_world_size,
    is_main_process,
)
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import Subset

from mmdavpt.clustering import describe, moved
from mmdavpt.registry import HOOKS

from ..first_pass import (
    batch_size_of,
    first_pass_loader,
    observe_training_set,
)
from ..labels import draw_class_labels, read_class_labels
from ..randomness import isolated_randomness
from .training_check_hook import check_classes, is_segmentor, unwrap


@HOOKS.register_module()
class PromptMappingHook(Hook):
    """Cluster classes before training and after every epoch (section 3.4).

    Before training, one pass over the training set with the un-prompted
    backbone gives the first class representations. In training, the model
    observes the [CLS] features of its own forward passes; after every epoch
    k-means starts from the previous centroids. In iteration-based loops an
    epoch is as many iterations as the dataset has batches.

    For segmentation the hook also draws each sample's guidance label, one
    class of its cropped annotation per iteration (appendix A.2). The draw
    depends on the seed, the iteration and the sample's place in the global
    batch alone: it needs no state to resume, and is the same on one process
    as on several.

    With an unguided model (``guidance=None``) the hook does nothing, so that
    one line of a config turns guidance off.

    Args:
        interval (int): Epochs between two re-clusterings. Defaults to 1.
        iters_per_epoch (int, optional): What an epoch is in iteration-based
            loops. Defaults to None, ceil(images / global batch size).
        max_samples_per_class (int, optional): Limit of the pass before
            training. Defaults to None, all samples.
        pipeline (List[dict], optional): Transforms of the pass before
            training. Defaults to None, the training ones.
        seed (int): Seed of the draws, of the pass before training and of
            k-means++. Defaults to 0.

    Raises:
        ValueError: If a number is too small.
    """

    # Before CheckpointHook, so that the new mapping is in the checkpoint.
    priority = 'NORMAL'

    def __init__(
        self,
        interval: int = 1,
        iters_per_epoch: Optional[int] = None,
        max_samples_per_class: Optional[int] = None,
        pipeline: Optional[List[dict]] = None,
        seed: int = 0,
    ) -> None:
        for name, value, least in (
            ('interval', interval, 1),
            ('iters_per_epoch', iters_per_epoch, 1),
            ('max_samples_per_class', max_samples_per_class, 1),
            ('seed', seed, 0),
        ):
            if value is not None and value < least:
                raise ValueError(
                    f'PromptMappingHook: `{name}` should be at least {least}, '
                    f'but got {value}'
                )
        self.interval = interval
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
        if runner._resume and model.guidance.initialized:
            self._forget_interrupted_epoch(runner, model)
            return
        start = time.perf_counter()
        runner.logger.info(
            'PromptMappingHook: first pass over the training '
            'set with the un-prompted backbone.'
        )
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
                lambda number, samples: self._labels(
                    model, samples, number, first_pass=True
                ),
                # Where the loader does not keep the limit already.
                None
                if isinstance(loader.dataset, Subset)
                else self.max_samples_per_class,
            )
        self._reduce_new(model)
        self._recluster(runner, model, start, first=True)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Check the labels of the batch, and draw guidance labels."""
        model = guided_model_of(runner)
        if model.guidance is None:
            return
        samples = data_batch['data_samples']
        labels = self._labels(model, samples, runner.iter)
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
        self._reduce_new(model)
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            period = self.interval * self._iters_per_epoch(runner)
            if self.every_n_train_iters(runner, period):
                self._recluster(runner, model, time.perf_counter())

    def after_train_epoch(self, runner: Runner) -> None:
        """Re-cluster in epoch-based loops."""
        model = guided_model_of(runner)
        counts_epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if (
            model.guidance is not None
            and counts_epochs
            and self.every_n_epochs(runner, self.interval)
        ):
            self._recluster(runner, model, time.perf_counter())

    def _iters_per_epoch(self, runner: Runner) -> int:
        if self.iters_per_epoch is not None:
            return self.iters_per_epoch
        loader = runner.train_dataloader
        return math.ceil(
            len(loader.dataset) / (batch_size_of(loader) * get_world_size())
        )

    def _labels(
        self,
        model: nn.Module,
        data_samples: Sequence,
        iteration: int,
        first_pass: bool = False,
    ) -> List[int]:
        """Return the guidance labels of a raw batch, -1 for none."""
        guidance = model.guidance
        if not is_segmentor(model):
            return read_class_labels(data_samples, guidance.num_classes)
        rank, world_size = get_rank(), get_world_size()
        return draw_class_labels(
            data_samples,
            guidance.num_classes,
            guidance.excluded,
            model.decode_head.ignore_index,
            lambda i: np.random.default_rng(
                [self.seed, first_pass, iteration, i * world_size + rank]
            ),
        )

    @staticmethod
    def _forget_interrupted_epoch(runner: Runner, model: nn.Module) -> None:
        """Drop what an epoch observed that the loop starts anew.

        An epoch-based loop resumes at the beginning of an epoch that was
        interrupted, and so sees its samples again.
        """
        if isinstance(runner.train_loop, EpochBasedTrainLoop) and (
            runner.iter % len(runner.train_dataloader)
        ):
            model.guidance.class_sums.zero_()
            model.guidance.class_counts.zero_()

    @staticmethod
    def _reduce_new(model: nn.Module) -> None:
        """Sum over processes what each newly observed.

        It is done in every iteration, so that the statistics that rank 0
        saves are whole. It moves as many bytes as the gradient of a linear
        head.
        """
        all_reduce(model.guidance.new_sums)
        all_reduce(model.guidance.new_counts)
        model.guidance.take_new()

    def _recluster(
        self,
        runner: Runner,
        model: nn.Module,
        start: float,
        first: bool = False,
    ) -> None:
        """Cluster on rank 0 and give every rank the result."""
        guidance = model.guidance
        guidance.finish_epoch()
        payload = [None]
        if is_main_process():
            try:
                payload = [guidance.cluster(self.seed)]
            except ValueError as error:
                # The other ranks wait for the result: they get the error.
                payload = [error]
        broadcast_object_list(payload)
        if isinstance(payload[0], ValueError):
            raise payload[0]
        result = payload[0]
        changed = (
            None
            if first
            else moved(guidance.mapping.cpu().numpy(), result.mapping)
        )
        guidance.set_mapping(result)
        line = describe(result, changed, time.perf_counter() - start)
        if (result.mapping < 0).all():
            runner.logger.warning(
                f'{line}: guidance needs at least two classes'
            )
        else:
            runner.logger.info(line)


def guided_model_of(runner: Runner) -> nn.Module:
    """Return the unwrapped model of a runner.

    Raises:
        TypeError: If it is not a model that can be guided.
    """
    model = unwrap(runner.model)
    if not hasattr(model, 'guidance'):
        raise TypeError(
            'PromptMappingHook needs a DAVPTImageClassifier or a '
            f'DAVPTEncoderDecoder, but got {type(model).__name__}; set '
            "model.type='mmdavpt....' or remove the hook"
        )
    return model
