"""Test-time augmentation of classifiers: labels follow the averaged scores."""

from collections.abc import Sequence

import torch
from mmpretrain.models import AverageClsScoreTTA, MultiLabelClsHead
from mmpretrain.structures import DataSample

from mmdavpt.registry import MODELS


@MODELS.register_module()
class LabelingClsTTAModel(AverageClsScoreTTA):
    """Average the scores of augmentations, and label by the average.

    :class:`mmpretrain.models.AverageClsScoreTTA` keeps the label of the first
    augmentation, which ``--out`` and ``--show-dir`` of a test would give.

    Args:
        module (dict | nn.Module): The classifier.
        data_preprocessor (dict | nn.Module, optional): Replaces the
            classifier's. Defaults to None.
    """

    def _merge_single_sample(
        self, data_samples: Sequence[DataSample]
    ) -> DataSample:
        merged = super()._merge_single_sample(data_samples)
        scores, head = merged.pred_score, self.module.head
        if not isinstance(head, MultiLabelClsHead):
            labels = scores.argmax(dim=0, keepdim=True)
        elif head.thr is not None:
            labels = torch.where(scores >= head.thr)[0]
        else:
            labels = scores.topk(head.topk).indices
        return merged.set_pred_label(labels)
