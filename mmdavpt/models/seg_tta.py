"""Averaging of a segmentor's predictions over scales and flips."""

from collections.abc import Iterator, Sequence
from typing import (
    NamedTuple,
)

from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.structures import SegDataSample
from torch import Tensor

from mmdavpt.registry import MODELS

from .losses.masked import full_precision


@MODELS.register_module()
class RunningSegTTAModel(SegTTAModel):
    """Average scores over augmentations as they come.

    The predictions are those of :class:`mmseg.models.SegTTAModel`, which
    keeps the logits of all augmentations until the last is done: twelve maps
    of an image where this holds a sum and one map. Scores are summed in
    float32 or better; in lower precision the host's sums round.

    Args:
        module (dict | nn.Module): The segmentor.
        data_preprocessor (dict | nn.Module, optional): Replaces the
            segmentor's. Defaults to None.
    """

    def test_step(
        self, data: dict[str, list] | Sequence[list]
    ) -> list[SegDataSample]:
        """Return one merged prediction for each image.

        Args:
            data (dict | tuple | list): Under each key, or at each place, one
                batch for each augmentation.

        Returns:
            list[SegDataSample]: With the merged ``pred_sem_seg``, and path
            and annotation of the first augmentation; all else is the last
            one's, as in the host.

        Raises:
            TypeError: If the data are in another form.
        """
        samples: list[SegDataSample] = []
        sums: list[Tensor] = []
        firsts: list[_First] = []
        number = 0
        for batch in _augmentations(data):
            samples = self.module.test_step(batch)
            number += 1
            if number == 1:
                sums = [self._scores(sample) for sample in samples]
                firsts = [_First.of(sample) for sample in samples]
                continue
            for total, sample in zip(sums, samples, strict=True):
                total.add_(self._scores(sample))
        for sample, total, first in zip(samples, sums, firsts, strict=True):
            labels = self._labels(total.div_(number))
            sample.set_data({'pred_sem_seg': PixelData(data=labels)})
            first.put_into(sample)
        return samples

    def _scores(self, sample: SegDataSample) -> Tensor:
        """Return the scores of one prediction, with shape (K, H, W)."""
        # The sum of many scores in bfloat16 would keep two digits.
        logits = full_precision(sample.seg_logits.data)
        if self.module.out_channels > 1:
            return logits.softmax(dim=0)
        return logits.sigmoid()

    def _labels(self, scores: Tensor) -> Tensor:
        """Return the labels of averaged scores, with shape (1, H, W)."""
        if self.module.out_channels > 1:
            return scores.argmax(dim=0, keepdim=True)
        return (scores > self.module.decode_head.threshold).to(scores)


class _First(NamedTuple):
    """What a merged prediction has of the first augmentation."""

    img_path: str
    gt_sem_seg: PixelData | None

    @classmethod
    def of(cls, sample: SegDataSample) -> '_First':
        return cls(sample.img_path, sample.get('gt_sem_seg'))

    def put_into(self, sample: SegDataSample) -> None:
        sample.set_metainfo({'img_path': self.img_path})
        if self.gt_sem_seg is not None:
            sample.set_data({'gt_sem_seg': self.gt_sem_seg})


def _augmentations(
    data: dict[str, list] | Sequence[list],
) -> Iterator[dict[str, list] | list]:
    """Yield the batch of each augmentation, as the host takes them apart."""
    if isinstance(data, dict):
        for values in zip(*data.values(), strict=True):
            yield dict(zip(data, values, strict=True))
    elif isinstance(data, (tuple, list)):
        yield from map(list, zip(*data, strict=True))
    else:
        raise TypeError(
            'augmented data should be a dict, tuple or list of batches, but '
            f'got {type(data).__name__}; let the loader collate them with '
            '`pseudo_collate`'
        )
