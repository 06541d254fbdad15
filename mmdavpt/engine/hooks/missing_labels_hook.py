"""Refuse to score images without labels."""

from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmdavpt.errors import UsageError


class MissingLabelsHook(Hook):
    """Name what to set for a test without labels.

    The metrics would end with a ``KeyError``.
    """

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Look for labels in the first batch.

        Raises:
            UsageError: If there are none, but a metric needs them.
        """
        if batch_idx:
            return
        scoring = [
            type(metric).__name__
            for metric in runner.test_evaluator.metrics
            if not isinstance(metric, DumpResults)
            and not getattr(metric, 'format_only', False)
        ]
        samples = samples_in(data_batch)
        names = [name for sample in samples for name in sample.keys()]
        if scoring and samples and not any(n.startswith('gt_') for n in names):
            raise UsageError(
                f'the test images have no labels, which {scoring[0]} needs; '
                'add LoadAnnotations to the pipeline if there are any, or '
                'only write predictions: for segmentation with --out FOLDER '
                '--cfg-options test_evaluator.format_only=True, for '
                'classification with --out FILE.pkl --cfg-options '
                'test_evaluator=[]'
            )


def samples_in(node: object) -> list[BaseDataElement]:
    """Return the data samples of a batch, also of several augmentations.

    Args:
        node (object): The raw batch, or a part of it.
    """
    if isinstance(node, BaseDataElement):
        return [node]
    parts = node.values() if isinstance(node, dict) else node
    parts = parts if isinstance(node, (dict, list, tuple)) else ()
    return [sample for part in parts for sample in samples_in(part)]
