"""The image classifier with guided prompts."""

import torch
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from mmdavpt.errors import UsageError
from mmdavpt.registry import MODELS

from .guidance import build_guidance, read_class_labels
from .guided_model import GuidedModelMixin


@MODELS.register_module()
class DAVPTImageClassifier(GuidedModelMixin, ImageClassifier):
    """An image classifier whose prompts are guided by class (section 3).

    Args:
        guidance (dict, optional): See
            :func:`.build_guidance`. None for
            plain prompt tuning. Defaults to None.
        **kwargs: Of :class:`mmpretrain.models.ImageClassifier`.

    Raises:
        UsageError: If guidance does not fit the head or the preprocessor.
    """

    def __init__(self, *args, guidance: dict | None = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        num_classes = getattr(self.head, 'num_classes', None)
        if guidance is not None:
            self._check_guidance(guidance, num_classes)
        self.guidance = build_guidance(guidance, self.backbone, num_classes)
        if hasattr(self.head, 'attach'):
            self.head.attach(self.backbone)

    def _check_guidance(self, guidance: dict, num_classes: int | None) -> None:
        if getattr(self.data_preprocessor, 'batch_augments', None):
            raise UsageError(
                'guidance needs one class per image, but the data '
                'preprocessor mixes images (batch_augments); remove '
                '`train_cfg.augments` or set guidance=None'
            )
        if num_classes is None:
            raise UsageError(
                'a guided classifier needs a head with `num_classes`, but '
                f'got {type(self.head).__name__}'
            )
        if guidance.get('labels') == 'present':
            raise UsageError(
                "guidance.labels='present' needs pixel labels, which a "
                'classifier does not have; remove `guidance.labels`'
            )

    def losses_of_heads(self, inputs: Tensor, *given) -> dict[str, Tensor]:
        """Return the losses of the head: see :class:`.GuidedModelMixin`."""
        losses = self.head_losses(self.head, inputs, *given)
        # mmengine logs the sum of all terms as `loss`, which would hide a
        # term of that name.
        return {'loss_head' if k == 'loss' else k: losses[k] for k in losses}

    @staticmethod
    def guidance_labels(data_samples: list[DataSample]) -> Tensor:
        """Return the class of each image, int64, with shape (B, )."""
        return torch.cat([sample.gt_label for sample in data_samples])

    def draw_labels(self, data_samples: list[DataSample], *_) -> list[int]:
        """Return the class of each image, checked; nothing is drawn."""
        return read_class_labels(data_samples, self.guidance.num_classes)
