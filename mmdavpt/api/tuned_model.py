"""A tuned model as a plain module, for a user's own training loop."""

from collections.abc import Callable, Iterable, Mapping

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmdavpt.checkpoints.plain import to_plain
from mmdavpt.errors import UsageError
from mmdavpt.models.backbones import Features
from mmdavpt.models.prompt_init import init_prompts
from mmdavpt.registry import MODELS

from .transform import ImageTransform, Picture, frames_of

#: Images and labels, see :class:`TunedModel`.
Batches = Iterable[tuple[Tensor, Tensor]]


def describe_model(cfg: Config, meta: Mapping) -> dict:
    """Return what a config says about a model, as plain values.

    Args:
        cfg (Config): The config of a run.
        meta (Mapping): The metainfo of its dataset: ``classes`` and
            perhaps ``palette``.

    Returns:
        dict: ``scope``, ``model``, ``pipeline`` (of the test),
        ``optim_wrapper``, ``classes`` and ``palette``.
    """
    steps = cfg.get('test_dataloader', cfg.val_dataloader).dataset.pipeline
    labels = ('LoadMasks', 'LoadAnnotations')
    spec = dict(
        scope=cfg.default_scope,
        model=dict(data_preprocessor=cfg.get('data_preprocessor')) | cfg.model,
        pipeline=[step for step in steps if not step.type.endswith(labels)],
        optim_wrapper=cfg.get('optim_wrapper'),
        classes=meta.get('classes'),
        palette=meta.get('palette'),
    )
    return to_plain(spec)


class TunedModel(nn.Module):
    """A model of a config, without a runner.

    Images are RGB, (B, 3, H, W): uint8, or floats in [0, 1]. The model
    normalizes them. Labels are int64: (B, ) for classification, (B, H, W) for
    segmentation, with 255 for pixels without a class.

    Args:
        spec (Mapping): See :func:`describe_model`.

    Attributes:
        model (nn.Module): The model of MMPretrain or MMSegmentation.
        classes (list[str]): Names of the classes.
        transform (ImageTransform): From a file, an array or a PIL image to a
            uint8 tensor of the size that the config tests at.
    """

    def __init__(self, spec: Mapping) -> None:
        super().__init__()
        self.spec = spec
        self.segments = spec['scope'] == 'mmseg'
        cfg = ConfigDict(spec['model'])  # a copy
        with DefaultScope.overwrite_default_scope(spec['scope']):
            # BN on one process; torch's `convert_sync_batchnorm` converts it.
            self.model = revert_sync_batchnorm(MODELS.build(cfg))
            self.transform = ImageTransform(spec['pipeline'])
        head = self.model if self.segments else self.model.head
        self.classes = spec['classes'] or [*map(str, range(head.num_classes))]

    def forward(
        self, images: Tensor, labels: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Return the losses, or without labels the logits.

        Args:
            images (Tensor): See the class.
            labels (Tensor, optional): See the class. Defaults to None.

        Returns:
            Tensor | dict[str, Tensor]: ``loss``, to call ``backward`` on, and
            its parts; or logits (B, K) or (B, K, H, W).
        """
        batch, train = self._pack(images, labels), labels is not None
        batch = self.model.data_preprocessor(batch, train)
        if train:
            return self.model.parse_losses(self.model.loss(**batch))[1]
        return self.logits(batch['inputs'])

    def logits(self, inputs: Tensor | Features) -> Tensor:
        """Return the logits, (B, K) or (B, K, H, W).

        Args:
            inputs (Tensor | Features): Normalized images, or features.
        """
        if not self.segments:
            return self.model(inputs, mode='tensor')
        found = self.model.predict(inputs)
        return torch.stack([sample.seg_logits.data for sample in found])

    @property
    def settings(self) -> dict:
        """dict: Options of backbone, normalization and pipeline."""
        cfg, steps = self.spec['model'], self.spec['pipeline']
        others = dict(num_classes=None, pipeline=steps)  # of labels
        return cfg['backbone'] | cfg['data_preprocessor'] | others

    def init_prompts(self, loader: Batches, num_images: int = 200) -> None:
        """Start prompts as centers of their layer's tokens, before training.

        The recommended configs do the same. The other ranks of a distributed
        training take the values of rank 0, as DDP does at its start.

        Args:
            loader (Batches): Images and labels of the
                training set.
            num_images (int): About how many images to read. Defaults to 200.
        """
        batches, read = [], 0
        for images, labels in loader:
            batches.append(self._pack(images, labels))
            read += len(images)
            if read >= num_images:
                break
        if len(self.model.backbone.prompts):
            init_prompts(self.model, batches, read)

    def fit_mapping(self, loader: Batches, seed: int = 0) -> None:
        """Map classes to prompts, before training; without guidance, nothing.

        Args:
            loader (Batches): Images and labels of the
                training set; of each rank's own part.
            seed (int): Of k-means++ and of drawn labels. Defaults to 0.
        """
        batches = (self._pack(*batch) for batch in loader)
        self.model.fit_mapping(batches, seed)

    def refresh_mapping(self) -> None:
        """Map classes to prompts by what an epoch observed; call it after."""
        self.model.refresh_mapping()

    @torch.no_grad()
    def predict(self, images: Iterable[Picture], every: int = 1) -> list[dict]:
        """Predict images as ``mmdavpt test`` does.

        Args:
            images (Iterable[Picture]): Files, arrays or PIL images. A video
                gives a result for each frame.
            every (int): Which frames of videos, see :func:`.frames_of`.
                Defaults to 1: all.

        Returns:
            list[dict]: For classification ``label`` (int), ``name``,
            ``score`` and ``scores`` (K, ); for segmentation ``mask``, classes
            of pixels, an int64 tensor, (H, W).
        """
        results, training = [], self.training
        self.eval()
        try:
            for image in images:
                for _, picture in frames_of(image, every):
                    results += self._results(picture)
        finally:
            self.train(training)
        return results

    def _results(self, picture: Picture) -> list[dict]:
        return [self.describe(**self.prepare(picture))]

    def prepare(self, picture: Picture) -> dict:
        """Return ``inputs`` of the model, (1, 3, H, W), and ``data_samples``.

        Args:
            picture (Picture): The image.
        """
        sample = self.transform.sample(self.transform.load(picture))
        return self.model.data_preprocessor(pseudo_collate([sample]))

    def describe(self, inputs: Tensor | Features, data_samples: list) -> dict:
        """Return the result of one image, see :meth:`predict`.

        Args:
            inputs (Tensor | Features): The image, or its features.
            data_samples (list): Its sample, which gets the prediction.
        """
        [found] = self.model(inputs, data_samples, mode='predict')
        if self.segments:
            return dict(mask=found.pred_sem_seg.data[0].cpu())
        scores = found.pred_score.cpu()
        label, score = scores.argmax().item(), scores.max().item()
        named = dict(label=label, name=self.classes[label], score=score)
        return dict(named, scores=scores)

    def _apply(self, fn: Callable, recurse: bool = True) -> 'TunedModel':
        """Tell the preprocessor the device, as mmengine's ``to`` does."""
        super()._apply(fn, recurse)
        device = next(self.parameters()).device
        self.model.data_preprocessor.to(device)
        return self

    def _pack(self, images: Tensor, labels: Tensor | None = None) -> dict:
        """Return a batch as the pipelines of a config give it."""
        if images.is_floating_point():
            if images.min() < 0 or images.max() > 1:
                raise UsageError('images should be in [0, 1]; drop Normalize')
            images = images * 255
        batch = dict(inputs=[*images.flip(1)])  # BGR, as OpenCV loads
        if labels is None:
            return batch
        if self.segments:
            masks = (PixelData(data=mask[None]) for mask in labels)
            samples = [SegDataSample(gt_sem_seg=mask) for mask in masks]
        else:
            samples = [DataSample().set_gt_label(n) for n in labels.tolist()]
        return dict(batch, data_samples=samples)


def trainable_parameters(model: nn.Module) -> list[dict]:
    """Return the trained parameters in groups, for an optimizer.

    Rates and weight decays are those of the config: no decay of biases and
    norms.

    Args:
        model (nn.Module): A :class:`TunedModel`, or DDP around one.

    Returns:
        list[dict]: Groups of ``params``, ``lr``, ``weight_decay``.
    """
    model = getattr(model, 'module', model)
    cfg = ConfigDict(model.spec['optim_wrapper'])
    groups = build_optim_wrapper(model.model, cfg).optimizer.param_groups
    keys = ('params', 'lr', 'weight_decay')
    return [{key: group[key] for key in keys} for group in groups]
