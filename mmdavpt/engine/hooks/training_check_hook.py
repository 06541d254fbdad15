"""The hook that stops trainings with wrong data or losses."""

import math
from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.models import MultiLabelClsHead

from mmdavpt.engine import class_counts
from mmdavpt.engine.checked_pipeline import check_files_of
from mmdavpt.errors import UsageError
from mmdavpt.models.guidance import check_annotations, read_class_labels
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import model_of, unwrap

from .missing_labels_hook import samples_in

ADVICE = (
    'check the images for NaN, or lower the learning rate, and continue from '
    'the last checkpoint with --resume'
)


@HOOKS.register_module()
class TrainingCheckHook(Hook):
    """Stop trainings whose classes, files, labels or losses are wrong.

    For classifiers and segmentors of any kind, guided or not. Without it,
    most of these mistakes train silently, or end as an index error in a
    kernel. It also refuses to save a checkpoint whose trained values are not
    finite.
    """

    # Before hooks that use the labels.
    priority = 'HIGH'

    def before_train(self, runner: Runner) -> None:
        """Compare the classes of data and heads; check files from now on.

        Raises:
            UsageError: If there are no images, or the classes of training
                set, heads and validation set differ.
        """
        training = runner.train_dataloader.dataset
        class_counts.check_classes(unwrap(runner.model), training)
        check_files_of(training)
        if runner.val_loop is not None:
            validation = runner.val_dataloader.dataset
            both = (training, validation)
            metas = [class_counts.metainfo_of(dataset) for dataset in both]
            if defect := class_counts.label_defect(*metas):
                raise UsageError(defect)
            check_files_of(validation, scored=True)

    def before_test(self, runner: Runner) -> None:
        """Check the files of the test set from now on."""
        check_files_of(runner.test_dataloader.dataset, scored=True)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Check the range of all labels.

        Raises:
            ValueError: If a label is out of range, with its image.
        """
        _check_labels(runner, data_batch['data_samples'])

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Check the range of labels, which metrics would count as mistakes.

        Raises:
            ValueError: If a label is out of range, with its image.
        """
        samples = samples_in(data_batch)
        labelled = [s for s in samples if 'gt_label' in s or 'gt_sem_seg' in s]
        _check_labels(runner, labelled)

    before_test_iter = before_val_iter

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict
    ) -> None:
        """Check that the loss is finite.

        Raises:
            UsageError: If it is not, with the images of the batch.
        """
        loss = outputs['loss'].item()
        if math.isfinite(loss):
            return
        terms = {name: value.item() for name, value in outputs.items()}
        unknown = 'an image without a path'
        samples = data_batch['data_samples']
        paths = [sample.get('img_path', unknown) for sample in samples]
        raise UsageError(
            f'the loss should be finite, but is {loss} in iteration '
            f'{runner.iter + 1} ({terms}) for the images {paths}; {ADVICE}'
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to write a checkpoint with values that are not finite.

        Raises:
            UsageError: If a trained parameter or a buffer is not finite.
        """
        model, state = unwrap(runner.model), checkpoint['state_dict']
        names = [n for n, p in model.named_parameters() if p.requires_grad]
        names += [name for name, _ in model.named_buffers()]
        names = [name for name in names if name in state]
        bad = [n for n in names if not torch.isfinite(state[n]).all()]
        if bad:
            raise UsageError(
                'a checkpoint should have finite weights, but '
                f'{len(bad)} of this one are not after iteration '
                f'{runner.iter + 1}, such as {bad[0]}, so it is not written; '
                f'{ADVICE}'
            )


def _check_labels(runner: Runner, samples: Sequence) -> None:
    """Raise if a label of a batch is missing or out of range."""
    for name, head in class_counts.heads_of(model_of(runner.model)).items():
        if name == 'head' and not isinstance(head, MultiLabelClsHead):
            if hasattr(head, 'num_classes'):
                read_class_labels(samples, head.num_classes)
        elif name.startswith('decode_head'):
            check_annotations(samples, head.num_classes, head.ignore_index)
