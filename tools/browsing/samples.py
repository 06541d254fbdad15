"""Read the samples of a config's dataset as the model gets them."""

import os.path as osp
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import set_random_seed
from torch import Tensor

from mmdavpt.engine.checked_pipeline import check_files_of
from mmdavpt.errors import UsageError
from mmdavpt.models.guidance import draw_class_labels, read_class_labels


@dataclass
class Sample:
    """One sample as the model gets it.

    Args:
        image (np.ndarray): uint8, RGB, with shape (H, W, 3).
        index (int): Its index in the dataset.
        name (str): The name of its file; '' if it has none.
        label (int, optional): The class of the image.
        annotation (np.ndarray, optional): The class of each pixel, (h, w);
            the size may differ from the image's.
        guidance_label (int, optional): The class drawn for guidance; -1 if
            there is none to draw. Defaults to None: not guided.
    """

    image: np.ndarray
    index: int
    name: str = ''
    label: int | None = None
    annotation: np.ndarray | None = None
    guidance_label: int | None = None


def read_samples(
    cfg: Config, split: str, number: int, seed: int = 0
) -> tuple[list[Sample], dict]:
    """Read samples of a split through its pipeline.

    Args:
        cfg (Config): The config.
        split (str): 'train', 'val' or 'test'.
        number (int): The most samples; all different.
        seed (int): Chooses the samples and seeds their augmentation.
            Defaults to 0.

    Returns:
        tuple[list[Sample], dict]: The samples in the order of the dataset,
        and its ``metainfo``. Training samples of a guided model have guidance
        labels.

    Raises:
        UsageError: If the split has no dataset or no images, or if an
            annotation is missing or out of range.
    """
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise UsageError(
            f'the config has no {split}_dataloader; choose another --split'
        )
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    set_random_seed(seed)
    dataset = DATASETS.build(loader.dataset)
    check_files_of(dataset)  # name broken files
    if not len(dataset):
        raise UsageError(f'the {split} dataset has no images')
    order = np.random.default_rng(seed).permutation(len(dataset))
    chosen = sorted(order[:number].tolist())
    packed = [dataset[i] for i in chosen]
    encoding, flips = encoding_of(loader.dataset), flips_channels(cfg)
    guides = None
    if split == 'train':
        guides = guidance_labels(cfg, [p['data_samples'] for p in packed])
    samples = []
    for n, (i, one) in enumerate(zip(chosen, packed, strict=True)):
        data_sample = one['data_samples']
        label, annotation = data_sample.get('gt_label'), None
        if 'gt_sem_seg' in data_sample:
            annotation = data_sample.gt_sem_seg.data[0].numpy()
        samples.append(
            Sample(
                model_picture(one['inputs'], encoding, flips),
                i,
                osp.basename(data_sample.get('img_path') or ''),
                None if label is None else int(label),
                annotation,
                None if guides is None else guides[n],
            )
        )
    return samples, dataset.metainfo


def head_of(cfg: dict) -> dict:
    """Return the config of the head, the last one of a cascade."""
    head = cfg['model'].get('decode_head') or cfg['model'].get('head') or {}
    return head[-1] if isinstance(head, (list, tuple)) else head


def guidance_labels(cfg: dict, data_samples: Sequence) -> list[int] | None:
    """Draw the guidance labels of samples as a training does.

    They are drawn as in the first iteration of one process with these samples
    as its batch.

    Args:
        cfg (dict): The config.
        data_samples (Sequence[DataSample | SegDataSample]): Training samples.

    Returns:
        list[int] | None: One class per sample, -1 where there is none to
        draw; None if the model is unguided or guided by all present classes.

    Raises:
        UsageError: If an annotation is missing or a label is out of range.
    """
    guidance = cfg['model'].get('guidance')
    if guidance is None or guidance.get('labels') == 'present':
        return None
    seeds = [
        hook.get('seed', 0)
        for hook in cfg.get('custom_hooks') or ()
        if str(hook.get('type')).endswith('PromptMappingHook')
    ]
    seed = seeds[0] if seeds else 0
    background = guidance.get('background_class')
    head = head_of(cfg)
    classes = cfg['model'].get('num_classes') or head['num_classes']
    try:
        if 'decode_head' not in cfg['model']:
            return read_class_labels(data_samples, classes)
        return draw_class_labels(
            data_samples,
            classes,
            () if background is None else (background,),
            head.get('ignore_index', 255),
            (seed, False, 0),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def encoding_of(dataset: dict) -> tuple[tuple | None, float]:
    """Return how the pipelines of a dataset encode images.

    Args:
        dataset (dict): The config of a dataset or of a wrapper.

    Returns:
        tuple[tuple | None, float]: Mean and std of ``Normalize``, if any, and
        what 1 stands for before it: 255 after torchvision's ``ToTensor``.

    Raises:
        UsageError: If its pipelines normalize differently.
    """
    found, scale = set(), 1.0
    for node in _dicts(dataset):
        name = str(node.get('type'))
        if name.endswith('Normalize'):
            found.add((tuple(node['mean']), tuple(node['std'])))
        elif name in ('torchvision/ToTensor', 'torchvision.ToTensor'):
            scale = 255.0
    if len(found) > 1:
        raise UsageError(
            'the pipelines of the dataset should normalize alike, but their '
            f'mean and std are {sorted(found)}; draw one dataset at a time'
        )
    return next(iter(found), None), scale


def _dicts(node: object) -> Iterator[dict]:
    if isinstance(node, dict):
        yield node
        node = [*node.values()]
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _dicts(item)


def flips_channels(cfg: dict) -> bool:
    """Return whether the data preprocessor swaps red and blue.

    The model's own preprocessor overrides the top-level one, as in a run.
    """
    found = cfg['model'].get('data_preprocessor')
    if found is None:
        found = cfg.get('data_preprocessor') or {}
    return any(found.get(k) for k in ('to_rgb', 'bgr_to_rgb', 'rgb_to_bgr'))


def model_picture(
    inputs: Tensor, encoding: tuple[tuple | None, float], flips: bool
) -> np.ndarray:
    """Return packed inputs as a picture in the colours that the model sees.

    Args:
        inputs (Tensor): The packed image, (C, H, W) with 1 or 3 channels.
        encoding (tuple): See :func:`encoding_of`; undone here.
        flips (bool): Whether the data preprocessor swaps red and blue.

    Returns:
        np.ndarray: uint8, (H, W, 3); the model's first channel is red.

    Raises:
        UsageError: If the inputs have another shape.
    """
    if inputs.ndim != 3 or len(inputs) not in (1, 3):
        raise UsageError(
            'the pipeline should pack images with shape (3, H, W) or '
            f'(1, H, W), but packs {tuple(inputs.shape)}'
        )
    values, (normalization, scale) = inputs.float(), encoding
    if normalization is not None:
        mean, std = (
            values.new_tensor(v)[:, None, None] for v in normalization
        )
        values = values * std + mean
    if flips:
        values = values.flip(0)
    values = (values * scale).round().clamp(0, 255)
    return values.expand(3, -1, -1).permute(1, 2, 0).byte().numpy()
