"""The image classifier with guided prompts."""

from typing import Dict, List, Optional

import torch
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from mmdavpt.registry import MODELS

from .guidance import build_guidance
from .guided_model import GuidedModelMixin


@MODELS.register_module()
class DAVPTImageClassifier(GuidedModelMixin, ImageClassifier):
    """An image classifier whose prompts are guided by class (section 3).

    Args:
        guidance (dict, optional): See
            :func:`~mmdavpt.models.guidance.config.build_guidance`. None for
            plain prompt tuning. Defaults to None.
        **kwargs: Of :class:`mmpretrain.models.ImageClassifier`.
    """

    def __init__(self, *args, guidance: Optional[dict] = None, **kwargs):
        super().__init__(*args, **kwargs)
        if guidance is not None and getattr(
            self.data_preprocessor, 'batch_augments', None
        ):
            raise ValueError(
                'guidance needs one class per image, but the data '
                'preprocessor mixes images (batch_augments); remove '
                '`train_cfg.augments` or set guidance=None'
            )
        if guidance is not None and not hasattr(self.head, 'num_classes'):
            raise ValueError(
                'a guided classifier needs a head with `num_classes`, but '
                f'got {type(self.head).__name__}'
            )
        if guidance is not None and guidance.get('labels') == 'present':
            raise ValueError(
                "labels='present' guides by the classes of an image's pixels, "
                'which images of one class have not; leave `guidance.labels` '
                'out'
            )
        self.guidance = build_guidance(
            guidance, self.backbone, getattr(self.head, 'num_classes', 0)
        )

    def loss(
        self, inputs: Tensor, data_samples: List[DataSample]
    ) -> Dict[str, Tensor]:
        """Return the head's losses and, in training, the guidance losses.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            data_samples (List[DataSample]): With one ``gt_label`` each.
        """
        if self.guidance is None or not self.training:
            return super().loss(inputs, data_samples)
        features, losses = self.features_and_guidance(
            inputs, self.guidance_labels(data_samples)
        )
        # The host logs the sum of all terms as `loss`, which a term of that
        # name would hide.
        losses.update(
            {
                'loss_head' if name == 'loss' else name: value
                for name, value in self.head.loss(
                    features, data_samples
                ).items()
            }
        )
        return losses

    @staticmethod
    def guidance_labels(data_samples: List[DataSample]) -> Tensor:
        """Return the class of each image, int64, with shape (B, ).

        Raises:
            ValueError: If an image has no class or several.
        """
        for sample in data_samples:
            if 'gt_label' not in sample or sample.gt_label.numel() != 1:
                raise ValueError(
                    'guidance needs exactly one `gt_label` per image, but '
                    f'got {sample.get("gt_label")} for '
                    f'{sample.get("img_path", "an image")}'
                )
        return torch.cat([sample.gt_label for sample in data_samples])
