"""Check classes, files, labels and losses during training."""

import math
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.models import MultiLabelClsHead

from mmdavpt.engine.class_counts import (
    check_classes,
    heads_of,
    label_defect,
    metainfo_of,
)
from mmdavpt.engine.fault_tolerance.checked_pipeline import (
    check_files_of,
    replaced_files,
)
from mmdavpt.engine.fault_tolerance.limits import (
    SKIPPED_IN_A_ROW,
    cannot_continue,
    record_broken_files,
    record_skipped_step,
)
from mmdavpt.engine.fault_tolerance.step_guard import (
    StepGuard,
    non_finite_values,
)
from mmdavpt.errors import UsageError
from mmdavpt.models.guidance import check_annotations, read_class_labels
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap

from .checkpoint_fit_hook import model_of
from .missing_labels_hook import samples_in


@HOOKS.register_module()
class TrainingCheckHook(Hook):
    """Stop trainings whose classes, files, labels or losses are wrong.

    For classifiers and segmentors of any kind, guided or not. Without it,
    most of these mistakes train silently, or end as an index error in a
    kernel. It also refuses to save a checkpoint whose trained values are not
    finite.

    Args:
        max_skipped_steps (int): How many optimizer steps in a row are skipped
            and logged, because their loss is not finite, before the training
            stops. A skipped iteration leaves no trace in weights, statistics
            or class sums. Defaults to 0: stop at the first.
        max_broken_files (int): How many files of the training set may be
            broken or missing, over all ranks and workers, before and after a
            resume. Each sample with such a file is replaced by a random
            other one; each file is logged once. Defaults to 0: stop.
            Files of other sets always stop the run, since without them the
            scores would change.

    Raises:
        ValueError: If a number is negative.
    """

    # Before hooks that use the labels.
    priority = 'HIGH'

    def __init__(
        self, max_skipped_steps: int = 0, max_broken_files: int = 0
    ) -> None:
        if min(max_skipped_steps, max_broken_files) < 0:
            raise ValueError(
                'TrainingCheckHook: `max_skipped_steps` and '
                '`max_broken_files` should be 0 or more, but got '
                f'{max_skipped_steps} and {max_broken_files}'
            )
        self.max_skipped_steps = max_skipped_steps
        self.max_broken_files = max_broken_files
        self._guard: StepGuard | None = None

    def before_train(self, runner: Runner) -> None:
        """Compare the classes of data and heads; check files from now on.

        Raises:
            UsageError: If there are no images, or the classes of training
                set, heads and validation set differ.
        """
        training = runner.train_dataloader.dataset
        check_classes(unwrap(runner.model), training)
        check_files_of(training, replace=self.max_broken_files > 0)
        if runner.val_loop is not None:
            validation = runner.val_dataloader.dataset
            defect = label_defect(
                metainfo_of(training), metainfo_of(validation)
            )
            if defect:
                raise UsageError(defect)
            check_files_of(validation, replace=False, scored=True)
        if self.max_skipped_steps:
            self._guard = StepGuard(runner.optim_wrapper)

    def before_test(self, runner: Runner) -> None:
        """Check the files of the test set from now on."""
        dataset = runner.test_dataloader.dataset
        check_files_of(dataset, replace=False, scored=True)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Check the range of all labels, and count broken files.

        Raises:
            ValueError: If a label is out of range, with its image; or if
                there are too many broken files.
        """
        samples = data_batch['data_samples']
        _check_labels(runner, samples)
        if self.max_broken_files:
            record_broken_files(
                runner, replaced_files(samples), self.max_broken_files
            )
        if self._guard is not None:
            self._guard.remember(runner.model)

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Check the range of labels, which metrics would count as mistakes.

        Raises:
            ValueError: If a label is out of range, with its image.
        """
        labelled = [
            sample
            for sample in samples_in(data_batch)
            if 'gt_label' in sample or 'gt_sem_seg' in sample
        ]
        _check_labels(runner, labelled)

    before_test_iter = before_val_iter

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Check that the loss is finite.

        Raises:
            UsageError: If it is not and the step may not be skipped, with the
                images of the batch.
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
            raise cannot_continue(
                f'the loss should be finite, but {what}', runner
            )
        record_skipped_step(
            runner, what, math.isfinite(loss), self.max_skipped_steps
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to write a checkpoint with values that are not finite.

        Raises:
            UsageError: If a trained parameter or a buffer is not finite.
        """
        bad = non_finite_values(unwrap(runner.model), checkpoint['state_dict'])
        if bad:
            raise cannot_continue(
                'a checkpoint should have finite weights, but '
                f'{len(bad)} of this one are not after iteration '
                f'{runner.iter + 1}, such as {bad[0]}, so it is not written',
                runner,
            )


def _check_labels(runner: Runner, samples: Sequence) -> None:
    """Raise if a label of a batch is missing or out of range."""
    for name, head in heads_of(model_of(runner.model)).items():
        one_class = hasattr(head, 'num_classes') and not isinstance(
            head, MultiLabelClsHead
        )
        if name == 'head' and one_class:
            read_class_labels(samples, head.num_classes)
        elif name.startswith('decode_head'):
            check_annotations(samples, head.num_classes, head.ignore_index)
