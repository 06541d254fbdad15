"""The hook that stops a training that cannot go well."""

import math
from typing import Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdavpt.engine.fault_tolerance.checked_pipeline import (
    replaced_files,
    watch,
)
from mmdavpt.engine.fault_tolerance.counting import (
    SKIPPED_IN_A_ROW,
    record_broken_files,
    record_skipped_step,
    stopping,
)
from mmdavpt.engine.fault_tolerance.step_guard import StepGuard, not_finite
from mmdavpt.errors import UsageError
from mmdavpt.models.guidance import check_annotations, read_class_labels
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap

from ..class_counts import (
    check_classes,
    class_order_defect,
    classes_of,
    heads_of,
)
from ..trained_model import is_segmentor


@HOOKS.register_module()
class TrainingCheckHook(Hook):
    """Check classes at the start, and files, labels and loss all the time.

    For classifiers and segmentors of any kind, guided or not. What it finds
    would otherwise train silently, or end as an index error in a kernel.
    A checkpoint with trained numbers that are not finite is never written.

    Args:
        max_skipped_steps (int): How many optimizer steps in a row are left
            out for a loss that is not finite, each with a line in the log,
            before the training stops. Such an iteration leaves no trace in
            weights, statistics or class sums. Defaults to 0: it stops at the
            first.
        max_broken_files (int): How many broken or missing files of the
            training set may be met, by all processes and workers together,
            before and after a resume. Each sample that needs one is replaced
            by another, drawn at random; each file is one line in the log.
            Defaults to 0: the training stops. Those of other sets always
            stop it, as scores without them would be others.

    Raises:
        ValueError: If a number is negative.
    """

    # Before hooks that use the labels.
    priority = 'HIGH'

    def __init__(
        self, max_skipped_steps: int = 0, max_broken_files: int = 0
    ) -> None:
        for name, value in (
            ('max_skipped_steps', max_skipped_steps),
            ('max_broken_files', max_broken_files),
        ):
            if value < 0:
                raise ValueError(
                    f'TrainingCheckHook: `{name}` should be 0 or more, but '
                    f'got {value}'
                )
        self.max_skipped_steps = max_skipped_steps
        self.max_broken_files = max_broken_files
        self._guard: Optional[StepGuard] = None

    def before_train(self, runner: Runner) -> None:
        """Compare the number of classes of data and heads; watch the files.

        Raises:
            ValueError: If they differ, or there are no images, or if the
                classes of the validation set are not those of the training
                set, so that its labels would mean something else.
        """
        training = runner.train_dataloader.dataset
        check_classes(unwrap(runner.model), training)
        watch(training, replace=self.max_broken_files > 0)
        if runner.val_loop is not None:
            validation = runner.val_dataloader.dataset
            defect = class_order_defect(
                classes_of(training), classes_of(validation)
            )
            if defect:
                raise UsageError(defect)
            watch(runner.val_dataloader.dataset, replace=False)
        if self.max_skipped_steps:
            self._guard = StepGuard(runner.optim_wrapper)

    def before_test(self, runner: Runner) -> None:
        """Watch the files of the test set."""
        watch(runner.test_dataloader.dataset, replace=False)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Check that all labels are in range, and count broken files.

        Raises:
            ValueError: If a label is not, with the image it belongs to, or
                if there are too many broken files.
        """
        model, samples = unwrap(runner.model), data_batch['data_samples']
        if is_segmentor(model):
            check_annotations(
                samples,
                model.decode_head.num_classes,
                model.decode_head.ignore_index,
            )
        elif hasattr(heads_of(model).get('head'), 'num_classes'):
            read_class_labels(samples, model.head.num_classes)
        if self.max_broken_files:
            record_broken_files(
                runner, replaced_files(samples), self.max_broken_files
            )
        if self._guard is not None:
            self._guard.remember(runner.model)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Check that the loss is finite.

        Raises:
            UsageError: If it is not, with the images of the batch, unless the
                step was left out and may be.
        """
        loss = outputs['loss'].item()
        if self._guard is None and math.isfinite(loss):
            return
        if self._guard is not None and not self._guard.skipped:
            runner.message_hub.update_info(SKIPPED_IN_A_ROW, 0)
            return
        terms = {name: value.item() for name, value in outputs.items()}
        paths = [
            sample.get('img_path', 'an image without a path')
            for sample in data_batch['data_samples']
        ]
        what = (
            f'is {loss} in iteration {runner.iter + 1} ({terms}) for the '
            f'images {paths}'
        )
        if self._guard is None:
            raise stopping(f'the loss should be finite, but {what}', runner)
        record_skipped_step(
            runner, what, math.isfinite(loss), self.max_skipped_steps
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to write a checkpoint that nothing can be made of.

        Raises:
            UsageError: If a number that is trained is not finite.
        """
        bad = not_finite(unwrap(runner.model), checkpoint['state_dict'])
        if bad:
            raise stopping(
                'a checkpoint should have finite weights, but '
                f'{len(bad)} of this one are not after iteration '
                f'{runner.iter + 1}, such as {bad[0]}, so it is not written',
                runner,
            )
