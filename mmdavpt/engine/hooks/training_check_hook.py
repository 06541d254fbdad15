"""The hook that stops a training that cannot go well."""

import math
from typing import Dict, Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmdavpt.errors import UsageError
from mmdavpt.registry import HOOKS

from ..labels import check_annotations, read_class_labels


@HOOKS.register_module()
class TrainingCheckHook(Hook):
    """Check classes at the start, and labels and loss in every iteration.

    For classifiers and segmentors of any kind, guided or not. What it finds
    would otherwise train silently, or end as an index error in a kernel.
    """

    # Before hooks that use the labels.
    priority = 'HIGH'

    def before_train(self, runner: Runner) -> None:
        """Compare the number of classes of data and heads.

        Raises:
            ValueError: If they differ, or there are no images, or if the
                classes of the validation set are not those of the training
                set, so that its labels would mean something else.
        """
        training = runner.train_dataloader.dataset
        check_classes(unwrap(runner.model), training)
        if runner.val_loop is not None:
            check_same_classes(training, runner.val_dataloader.dataset)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Check that all labels are in range.

        Raises:
            ValueError: If one is not, with the image it belongs to.
        """
        model, samples = unwrap(runner.model), data_batch['data_samples']
        if is_segmentor(model):
            check_annotations(
                samples,
                model.decode_head.num_classes,
                model.decode_head.ignore_index,
            )
        elif 'head' in classes_of_heads(model):
            read_class_labels(samples, model.head.num_classes)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Check that the loss is finite.

        Raises:
            ValueError: If it is not, with the images of the batch.
        """
        loss = outputs['loss'].item()
        if math.isfinite(loss):
            return
        terms = {name: value.item() for name, value in outputs.items()}
        paths = [
            sample.get('img_path', 'an image without a path')
            for sample in data_batch['data_samples']
        ]
        raise ValueError(
            f'the loss should be finite, but is {loss} in iteration '
            f'{runner.iter + 1} ({terms}); check the images {paths} for NaN, '
            'or lower the learning rate, and go on from the last checkpoint '
            f'in {runner.work_dir} with --resume'
        )


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside a distributed wrapper."""
    return model.module if is_model_wrapper(model) else model


def is_segmentor(model: nn.Module) -> bool:
    """Return whether a model learns from annotations of pixels."""
    return hasattr(model, 'decode_head')


def classes_of_heads(model: nn.Module) -> Dict[str, int]:
    """Return the number of classes of each head that has one."""
    heads = {
        name: getattr(model, name, None)
        for name in ('head', 'decode_head', 'auxiliary_head')
    }
    if isinstance(heads['auxiliary_head'], nn.ModuleList):
        for i, head in enumerate(heads.pop('auxiliary_head')):
            heads[f'auxiliary_head.{i}'] = head
    return {
        name: head.num_classes
        for name, head in heads.items()
        if hasattr(head, 'num_classes')
    }


def check_classes(model: nn.Module, dataset) -> None:
    """Check that the dataset has as many classes as each head.

    Raises:
        UsageError: If it has not, or if it has no images.
    """
    if not len(dataset):
        raise UsageError(
            f'the training set {type(dataset).__name__} should have images, '
            'but it has none; check its data_root, data_prefix and img_suffix'
        )
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    if classes is None:
        return
    for name, number in classes_of_heads(model).items():
        if number != len(classes):
            raise UsageError(
                f'the training set has {len(classes)} classes, but the model '
                f'has num_classes={number} in its {name}; set '
                f'model.{name}.num_classes={len(classes)}'
            )


def check_same_classes(training, validation) -> None:
    """Check that two datasets have the same classes in the same order.

    Raises:
        UsageError: If they have not.
    """
    expected, found = (
        getattr(dataset, 'metainfo', {}).get('classes')
        for dataset in (training, validation)
    )
    if expected is None or found is None or list(expected) == list(found):
        return
    different = sorted(set(expected) ^ set(found))[:5]
    raise UsageError(
        f'the validation set should have the {len(expected)} classes of the '
        f'training set in the same order, but it has {len(found)}; different '
        f'are {different or "their places"}: a class folder is missing or '
        'superfluous, or `metainfo` differs'
    )
