"""The segmentor with guided prompts."""

import torch
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor

from mmdavpt.errors import UsageError, check_count
from mmdavpt.registry import MODELS

from . import guidance as guiding
from .guided_model import GuidedModelMixin
from .slide import WINDOW_BATCH, slide_logits


@MODELS.register_module()
class DAVPTEncoderDecoder(GuidedModelMixin, EncoderDecoder):
    """An encoder-decoder whose prompts are guided by class (appendix A.2).

    In each iteration one class of each sample's annotation is drawn as its
    guidance label, unless all present classes guide.

    Args:
        guidance (dict, optional): See
            :func:`.build_guidance`. None for
            plain prompt tuning. Defaults to None.
        num_classes (int, optional): The class count of all heads. Auxiliary
            heads may set another one. Defaults to None.
        **kwargs: Of :class:`mmseg.models.EncoderDecoder`. In ``test_cfg``
            ``window_batch`` limits how many windows of ``mode='slide'`` go
            through the backbone at once (int, defaults to 8).

    Raises:
        UsageError: If ``window_batch`` is not a positive integer, or if the
            decode head has another class count than ``num_classes``.
    """

    def __init__(
        self,
        *args,
        guidance: dict | None = None,
        num_classes: int | None = None,
        **kwargs,
    ) -> None:
        if num_classes is not None:
            kwargs = _with_class_count(kwargs, num_classes)
        super().__init__(*args, **kwargs)
        number = (self.test_cfg or {}).get('window_batch')
        check_count('`test_cfg.window_batch`', number, 1)
        backbone, classes = self.backbone, self.num_classes
        self.guidance = guiding.build_guidance(guidance, backbone, classes)

    def losses_of_heads(self, inputs: Tensor, *given) -> dict[str, Tensor]:
        """Return the losses of the heads: see :class:`.GuidedModelMixin`."""
        options = inputs, *given, self.train_cfg
        main = self.head_losses(self.decode_head, *options)
        losses = add_prefix(main, 'decode')
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(*given))
        return losses

    def parse_losses(self, losses: dict) -> tuple[Tensor, dict]:
        """Return the sum of the losses, and the values to log.

        Args:
            losses (dict): What :meth:`loss` returns.
        """
        if self.out_channels == 1:
            # MMSegmentation counts all predictions as class 0.
            losses = {k: v for k, v in losses.items() if 'acc_seg' not in k}
        return super().parse_losses(losses)

    def regions(self, data_samples: list[SegDataSample]) -> guiding.Regions:
        """Return the regions of all present classes.

        Args:
            data_samples (list[SegDataSample]): With ``gt_sem_seg`` of the
                size of the backbone's input.
        """
        guidance = self.guidance
        pixels = torch.cat([s.gt_sem_seg.data for s in data_samples])
        size, number = self.backbone.patch_size, guidance.num_classes
        excluded = (*guidance.excluded, self.decode_head.ignore_index)
        labels = guiding.patch_labels(pixels, size, number, excluded)
        return guiding.find_regions(labels)

    def guidance_labels(
        self, data_samples: list[SegDataSample]
    ) -> Tensor | guiding.Regions:
        """Return the drawn class of each sample, int64, with shape (B, ).

        They are drawn here, from ``guidance.seed`` and ``guidance.iteration``,
        unless :class:`.PromptMappingHook` has done so. If all present classes
        guide, return their regions instead.
        """
        if self.guidance.labels == 'present':
            return self.regions(data_samples)
        if all('guidance_label' in sample for sample in data_samples):
            labels = [sample.guidance_label for sample in data_samples]
        else:
            labels = self.draw_labels(data_samples, self.guidance.iteration)
            self.guidance.iteration += 1
        return torch.tensor(labels).to(self.guidance.mapping)

    def draw_labels(
        self,
        data_samples: list[SegDataSample],
        iteration: int,
        first_pass: bool = False,
    ) -> list[int]:
        """Draw one class of each sample's annotation, -1 for none."""
        guidance, ignored = self.guidance, self.decode_head.ignore_index
        key = guidance.seed, first_pass, iteration
        options = guidance.num_classes, guidance.excluded, ignored, key
        return guiding.draw_class_labels(data_samples, *options)

    def slide_inference(
        self, inputs: Tensor, batch_img_metas: list[dict]
    ) -> Tensor:
        """Return the logits of MMSegmentation's method; batch the windows.

        Windows go through ``extract_feat`` and ``decode_head``, not through
        ``encode_decode``.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            batch_img_metas (list[dict]): Meta information of each image.

        Returns:
            Tensor: Logits with shape (B, K, H, W).
        """

        def decode(features, image, size):
            shape = torch.Size(size)
            # Some heads prefer `pad_shape`, others a `torch.Size`.
            own = dict(img_shape=shape, pad_shape=shape)
            meta = {**batch_img_metas[image], **own}
            return self._window_logits(features, meta)

        cfg = self.test_cfg
        batch = cfg.get('window_batch') or WINDOW_BATCH
        windows = self.out_channels, cfg['crop_size'], cfg['stride'], batch
        return slide_logits(inputs, self.extract_feat, decode, *windows)

    def _window_logits(self, features: object, meta: dict) -> Tensor:
        """Return the logits of one window, as large as the window."""
        head, base = self.decode_head, BaseDecodeHead
        own = type(head).predict, type(head).predict_by_feat
        if own == (base.predict, base.predict_by_feat):
            logits = head(features)
            # Resizing to the same size would only copy.
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
    filled = {k: fill(v) if k in names else v for k, v in kwargs.items()}
    heads = filled.get('decode_head') or ()
    for head in [heads] if isinstance(heads, dict) else heads:
        if head['num_classes'] != num_classes:
            raise UsageError(
                f'model.num_classes is {num_classes}, but '
                f'model.decode_head.num_classes is {head["num_classes"]}; '
                'set model.num_classes to the right one and remove the other'
            )
    return filled
