"""Check classes, files, labels and losses during training."""

import math
from collections.abc import Sequence

import torch
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
from mmdavpt.errors import UsageError, first_few
from mmdavpt.mapping.refresh_schedule import check_count
from mmdavpt.models.guidance import check_annotations, read_class_labels
from mmdavpt.ranks import gather_distinct
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap

from .checkpoint_fit_hook import model_of
from .evaluation_hooks import samples_in

#: Key of the list in the message hub, which every checkpoint contains.
BROKEN = 'broken_files'
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

    Args:
        max_broken_files (int): How many files of the training set may be
            broken or missing, over all ranks and workers, before and after a
            resume. Each sample with such a file is replaced by a random
            other one; each file is logged once. Defaults to 0: stop.
            Files of other sets always stop the run, since without them the
            scores would change.

    Raises:
        UsageError: If the number is negative.
    """

    # Before hooks that use the labels.
    priority = 'HIGH'

    def __init__(self, max_broken_files: int = 0) -> None:
        name = 'TrainingCheckHook: `max_broken_files`'
        check_count(name, max_broken_files, 0)
        self.max_broken_files = max_broken_files

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
            self._record_broken_files(runner, replaced_files(samples))

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
            UsageError: If it is not, with the images of the batch.
        """
        loss = outputs['loss'].item()
        if math.isfinite(loss):
            return
        terms = {name: value.item() for name, value in outputs.items()}
        paths = [
            sample.get('img_path', 'an image without a path')
            for sample in data_batch['data_samples']
        ]
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
        trained = [n for n, p in model.named_parameters() if p.requires_grad]
        bad = [
            name
            for name in trained + [name for name, _ in model.named_buffers()]
            if name in state and not torch.isfinite(state[name]).all()
        ]
        if bad:
            raise UsageError(
                'a checkpoint should have finite weights, but '
                f'{len(bad)} of this one are not after iteration '
                f'{runner.iter + 1}, such as {bad[0]}, so it is not written; '
                f'{ADVICE}'
            )

    def _record_broken_files(self, runner: Runner, found: list[str]) -> None:
        """Count and log broken files whose samples were replaced.

        All ranks call it together, so that a file counts once, whichever rank
        meets it, and each checkpoint knows all of them.
        """
        hub, limit = runner.message_hub, self.max_broken_files
        known = list(hub.runtime_info.get(BROKEN, []))
        for file in gather_distinct(f for f in found if f not in known):
            known.append(file)
            hub.update_info(BROKEN, known)
            if len(known) > limit:
                raise UsageError(
                    'the training set has more broken files than '
                    f'max_broken_files={limit}: {file}, after '
                    f'{first_few(known[:-1])}; copy them again, or remove '
                    'them from the dataset'
                )
            runner.logger.warning(
                f'{file}; its sample is replaced by another one '
                f'({len(known)} of at most {limit} such files)'
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
