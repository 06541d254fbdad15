"""The hook of tests that names missing labels."""

from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils._pytree import tree_leaves

from mmdavpt.errors import UsageError


class MissingLabelsHook(Hook):
    """Name what to set for a test without labels.

    The metrics would end with a ``KeyError``.
    """

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict
    ) -> None:
        """Look for labels in the first batch.

        Raises:
            UsageError: If there are none, but a metric needs them.
        """
        if batch_idx:
            return
        metrics = runner.test_evaluator.metrics
        scoring = [m for m in metrics if not isinstance(m, DumpResults)]
        scoring = [m for m in scoring if not getattr(m, 'format_only', False)]
        samples = samples_in(data_batch)
        names = [name for sample in samples for name in sample.keys()]
        if scoring and samples and not any(n.startswith('gt_') for n in names):
            name = type(scoring[0]).__name__
            raise UsageError(
                f'the test images have no labels, which {name} needs; add '
                'LoadAnnotations to the pipeline if there are any, or '
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
    leaves = tree_leaves(node)
    return [leaf for leaf in leaves if isinstance(leaf, BaseDataElement)]
