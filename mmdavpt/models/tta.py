"""Test-time augmentation of segmentors and classifiers."""

from collections.abc import Iterator, Sequence

import torch
from mmengine.structures import PixelData
from mmpretrain.models import AverageClsScoreTTA, MultiLabelClsHead
from mmpretrain.structures import DataSample
from mmseg.models import SegTTAModel
from mmseg.structures import SegDataSample
from torch import Tensor

from mmdavpt.models.losses.similarity import full_precision
from mmdavpt.registry import MODELS

#: What a loader of ``TestTimeAug`` gives: a list of augmentations per key.
Augmented = dict[str, list] | Sequence[list]


@MODELS.register_module()
class RunningSegTTAModel(SegTTAModel):
    """Average the scores of augmentations while they are computed.

    :class:`mmseg.models.SegTTAModel` keeps the logits of all augmentations
    (twelve maps of an image) until the last one; this class keeps a sum and
    one map. It sums in float32 or better. MMSegmentation also applies a
    sigmoid to the probabilities of one-channel heads, which a segmentor has
    applied already; this class averages them as they are. MMSegmentation
    leaves the logits of the last augmentation in the result.

    Args:
        module (dict | nn.Module): The segmentor.
        data_preprocessor (dict | nn.Module, optional): Replaces the
            segmentor's. Defaults to None.
    """

    def test_step(self, data: Augmented) -> list[SegDataSample]:
        """Return one merged prediction for each image.

        Args:
            data (dict | tuple | list): At each key or index, one batch for
                each augmentation.

        Returns:
            list[SegDataSample]: The samples of the last augmentation with the
            merged ``pred_sem_seg`` and ``seg_logits``, whose softmax is the
            average; and path and annotation of the first one.
        """
        samples: list[SegDataSample] = []
        firsts: list[tuple[str, PixelData | None]] = []
        sums: list[Tensor] = []
        number = 0
        for batch in _augmentations(data):
            samples = self.module.test_step(batch)
            number += 1
            if number == 1:
                sums = [self._scores(sample) for sample in samples]
                firsts = [(s.img_path, s.get('gt_sem_seg')) for s in samples]
                continue
            for total, sample in zip(sums, samples, strict=True):
                total.add_(self._scores(sample))
        found = zip(samples, sums, firsts, strict=True)
        for sample, total, (path, annotation) in found:
            labels = self._labels(total.div_(number))
            if self.module.out_channels > 1:
                total.log_()
            fields = dict(pred_sem_seg=labels, seg_logits=total)
            sample.set_data({k: PixelData(data=v) for k, v in fields.items()})
            sample.set_metainfo({'img_path': path})
            if annotation is not None:
                sample.set_data({'gt_sem_seg': annotation})
        return samples

    def _scores(self, sample: SegDataSample) -> Tensor:
        """Return a new tensor of class probabilities, shape (K, H, W)."""
        # A sum of many scores in bfloat16 would keep two digits.
        logits = full_precision(sample.seg_logits.data)
        if self.module.out_channels > 1:
            return logits.softmax(dim=0)
        return logits.clone()  # the segmentor has applied the sigmoid

    def _labels(self, scores: Tensor) -> Tensor:
        """Return the labels of averaged scores, shape (1, H, W)."""
        if self.module.out_channels > 1:
            return scores.argmax(dim=0, keepdim=True)
        return (scores > self.module.decode_head.threshold).to(scores)


def _augmentations(data: Augmented) -> Iterator[dict[str, list] | list]:
    """Yield the batch of each augmentation."""
    if isinstance(data, dict):
        for values in zip(*data.values(), strict=True):
            yield dict(zip(data, values, strict=True))
    else:
        yield from map(list, zip(*data, strict=True))


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
