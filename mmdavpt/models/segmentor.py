"""The segmentor with guided prompts."""

from typing import Any, Dict, List, Optional

import torch
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import Tensor

from mmdavpt.errors import UsageError
from mmdavpt.registry import MODELS

from .guidance import Regions, build_guidance, find_regions, patch_labels
from .guided_model import GuidedModelMixin
from .slide import WINDOW_BATCH, check_window_batch, slide_logits


@MODELS.register_module()
class DAVPTEncoderDecoder(GuidedModelMixin, EncoderDecoder):
    """An encoder-decoder whose prompts are guided by class (appendix A.2).

    In each iteration :class:`mmdavpt.engine.hooks.PromptMappingHook` draws
    one class of each sample's annotation as its guidance label, unless all
    present classes guide.

    Args:
        guidance (dict, optional): See
            :func:`~mmdavpt.models.guidance.config.build_guidance`. None for
            plain prompt tuning. Defaults to None.
        num_classes (int, optional): The class count of all heads that do not
            set their own. Defaults to None.
        **kwargs: Of :class:`mmseg.models.EncoderDecoder`. In ``test_cfg``
            ``window_batch`` bounds how many windows of ``mode='slide'`` go
            through the backbone at once (int, defaults to 8).

    Raises:
        UsageError: If ``window_batch`` is no positive integer, or if there
            is more than one ``decode_head``.
    """

    def __init__(
        self,
        *args,
        guidance: Optional[dict] = None,
        num_classes: Optional[int] = None,
        **kwargs,
    ):
        if num_classes is not None:
            kwargs = _with_class_count(kwargs, num_classes)
        super().__init__(*args, **kwargs)
        check_window_batch(
            (self.test_cfg or {}).get('window_batch', WINDOW_BATCH)
        )
        self.guidance = build_guidance(
            guidance, self.backbone, self.num_classes
        )

    def _init_decode_head(self, decode_head: Any) -> None:
        if isinstance(decode_head, (list, tuple)):
            raise UsageError(
                '`model.decode_head` should be one head, but got '
                f'{len(decode_head)} in a list, as of a cascade; leave the '
                'last one, and list others under `auxiliary_head`'
            )
        super()._init_decode_head(decode_head)

    def loss(
        self, inputs: Tensor, data_samples: List[SegDataSample]
    ) -> Dict[str, Tensor]:
        """Return the heads' losses and, in training, the guidance losses.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            data_samples (List[SegDataSample]): With ``gt_sem_seg`` and, for
                ``labels='random'``, the drawn ``guidance_label``.
        """
        if self.guidance is None or not self.training:
            return super().loss(inputs, data_samples)
        labels = (
            self.regions(data_samples)
            if self.guidance.labels == 'present'
            else self.guidance_labels(data_samples).to(inputs.device)
        )
        features, losses = self.features_and_guidance(inputs, labels)
        losses.update(self._decode_head_forward_train(features, data_samples))
        if self.with_auxiliary_head:
            losses.update(
                self._auxiliary_head_forward_train(features, data_samples)
            )
        return losses

    def first_labels(self, data_samples, labels, device):
        """Return the drawn labels, or the regions of all present classes."""
        if self.guidance.labels == 'present':
            return self.regions(data_samples)
        return super().first_labels(data_samples, labels, device)

    def regions(self, data_samples: List[SegDataSample]) -> Regions:
        """Return the regions of the classes that are present.

        Args:
            data_samples (List[SegDataSample]): With ``gt_sem_seg``, as large
                as the images that the backbone sees.
        """
        guidance = self.guidance
        pixels = torch.cat([s.gt_sem_seg.data for s in data_samples])
        return find_regions(
            patch_labels(
                pixels,
                self.backbone.patch_size,
                guidance.num_classes,
                (*guidance.excluded, self.decode_head.ignore_index),
                guidance.min_coverage,
            )
        )

    @staticmethod
    def guidance_labels(data_samples: List[SegDataSample]) -> Tensor:
        """Return the drawn class of each sample, int64, with shape (B, ).

        Raises:
            RuntimeError: If no hook has drawn them.
        """
        if not all('guidance_label' in sample for sample in data_samples):
            raise RuntimeError(
                'the samples have no guidance label: add custom_hooks='
                "[dict(type='mmdavpt.PromptMappingHook')] to the config, or "
                'set model.guidance=None for plain prompt tuning'
            )
        return torch.tensor([sample.guidance_label for sample in data_samples])

    def slide_inference(
        self, inputs: Tensor, batch_img_metas: List[dict]
    ) -> Tensor:
        """Return what the host's method does, with windows in batches.

        Windows go through ``extract_feat`` and ``decode_head``, not through
        ``encode_decode``.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            batch_img_metas (List[dict]): Meta information of each image.

        Returns:
            Tensor: Logits with shape (B, K, H, W).
        """

        def decode(features, image, size):
            # Only a `torch.Size` makes the heads prefer it to `pad_shape`.
            meta = {**batch_img_metas[image], 'img_shape': torch.Size(size)}
            return self._window_logits(features, meta)

        return slide_logits(
            inputs,
            self.extract_feat,
            decode,
            self.out_channels,
            self.test_cfg['crop_size'],
            self.test_cfg['stride'],
            self.test_cfg.get('window_batch', WINDOW_BATCH),
        )

    def _window_logits(self, features: Any, meta: dict) -> Tensor:
        """Return the logits of one window, as large as the window."""
        head = self.decode_head
        kind = type(head)
        if (
            kind.predict is BaseDecodeHead.predict
            and kind.predict_by_feat is BaseDecodeHead.predict_by_feat
        ):
            logits = head(features)
            # To resize to the same size would only copy.
            if logits.shape[2:] == meta['img_shape']:
                return logits
            return head.predict_by_feat(logits, [meta])
        return head.predict(features, [meta], self.test_cfg)


def _with_class_count(kwargs: dict, num_classes: int) -> dict:
    """Give all heads of a model config a class count if they have none."""

    def fill(head):
        if isinstance(head, (list, tuple)):
            return [fill(each) for each in head]
        return head and {'num_classes': num_classes, **head}

    names = ('decode_head', 'auxiliary_head')
    return {k: fill(v) if k in names else v for k, v in kwargs.items()}
