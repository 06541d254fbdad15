"""Samples of a config's dataset as the model gets them."""

import os.path as osp
from collections.abc import Sequence
from typing import List, Optional, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from mmdavpt.checks.data.dataset_files import head_of
from mmdavpt.errors import UsageError
from mmdavpt.models.guidance import draw_class_labels, read_class_labels
from mmdavpt.randomness import isolated_randomness

from .figures import save_figure
from .inputs import encoding_of, flips_channels, model_picture
from .samples import Sample
from .sheet import samples_figure

#: The hook that draws guidance labels in training.
HOOK = 'PromptMappingHook'

#: The most samples on a sheet.
PER_SHEET = 24


def guidance_labels(cfg: dict, data_samples: Sequence) -> Optional[List[int]]:
    """Draw the guidance labels of samples, as the hook does in training.

    They are drawn as for the first iteration of one process, with these
    samples as its batch.

    Args:
        cfg (dict): The config.
        data_samples (Sequence[DataSample | SegDataSample]): Of the training
            set.

    Returns:
        List[int] | None: One class a sample, -1 where there is none to draw;
        None if the model is not guided, or by all classes that are present.

    Raises:
        UsageError: If an annotation is missing or a label out of range.
    """
    model = cfg['model']
    guidance = model.get('guidance')
    if guidance is None or guidance.get('labels') == 'present':
        return None
    seed = next(
        (
            hook.get('seed', 0)
            for hook in cfg.get('custom_hooks') or ()
            if str(hook.get('type')).endswith(HOOK)
        ),
        0,
    )
    background = guidance.get('background_class')
    try:
        if 'decode_head' not in model:
            return read_class_labels(data_samples, head_of(cfg)['num_classes'])
        return draw_class_labels(
            data_samples,
            head_of(cfg)['num_classes'],
            () if background is None else (background,),
            ignore_index_of(cfg),
            (seed, False, 0),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def ignore_index_of(cfg: dict) -> int:
    """Return the label of pixels that the head of a config ignores."""
    return head_of(cfg).get('ignore_index', 255)


def read_samples(
    cfg: Config, split: str, number: int, seed: int = 0
) -> Tuple[List[Sample], dict]:
    """Pass samples of a split through its pipeline, as for the model.

    Args:
        cfg (Config): The config.
        split (str): 'train', 'val' or 'test'.
        number (int): How many, at most; all different.
        seed (int): Chooses the samples, and seeds their augmentation.
            Defaults to 0.

    Returns:
        Tuple[List[Sample], dict]: The samples, in the order of the dataset,
        and its ``metainfo``. Training samples of a guided model have
        guidance labels.

    Raises:
        UsageError: If the config has no such split or no images in it.
    """
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise UsageError(
            f'the config should have a {split}_dataloader to draw samples '
            'from, but has none; choose another split'
        )
    encoding, flips = encoding_of(loader.dataset), flips_channels(cfg)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    with isolated_randomness(seed):
        dataset = DATASETS.build(loader.dataset)
        if not len(dataset):
            raise UsageError(f'the dataset of {split} has no images')
        order = np.random.default_rng(seed).permutation(len(dataset))
        chosen = sorted(order[:number].tolist())
        packed = [dataset[i] for i in chosen]
    data_samples = [p['data_samples'] for p in packed]
    guides = guidance_labels(cfg, data_samples) if split == 'train' else None
    samples = [
        Sample(
            model_picture(p['inputs'], encoding, flips),
            i,
            osp.basename(p['data_samples'].get('img_path') or ''),
            *_truth_of(p['data_samples']),
            guidance_label=None if guides is None else guides[n],
        )
        for n, (i, p) in enumerate(zip(chosen, packed, strict=True))
    ]
    return samples, dataset.metainfo


def _truth_of(data_sample) -> Tuple[Optional[int], Optional[np.ndarray]]:
    """Return the class and the annotation of a sample, None where absent."""
    if 'gt_sem_seg' in data_sample:
        return None, data_sample.gt_sem_seg.data[0].numpy()
    label = data_sample.get('gt_label')
    return (None if label is None else int(label)), None


def draw_samples(
    samples: Sequence[Sample],
    metainfo: dict,
    folder: str,
    stem: str,
    title: str,
    each: bool = False,
    ignore_index: int = 255,
) -> List[str]:
    """Draw samples on sheets, or each on its own, into a folder.

    Args:
        samples (Sequence[Sample]): The samples.
        metainfo (dict): Of their dataset, with names and colours of classes.
        folder (str): Where the pictures go; made if need be.
        stem (str): What their names begin with.
        title (str): Above the samples of a sheet.
        each (bool): One picture a sample. Defaults to False.
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.

    Returns:
        List[str]: The files.
    """
    if each:
        groups = {
            f'{stem}_{s.index:06d}'
            + (f'_{osp.splitext(s.name)[0]}' if s.name else ''): [s]
            for s in samples
        }
        look = dict(side=4.0)
    else:
        sheets = range(0, len(samples), PER_SHEET)
        groups = {
            f'{stem}_{i // PER_SHEET + 1}' if sheets[1:] else stem: samples[
                i : i + PER_SHEET
            ]
            for i in sheets
        }
        look = dict(title=title)
    paths = []
    for name, group in groups.items():
        figure = samples_figure(
            group,
            metainfo.get('classes'),
            metainfo.get('palette'),
            ignore_index=ignore_index,
            **look,
        )
        paths.append(osp.join(folder, f'{name}.png'))
        save_figure(figure, paths[-1])
    return paths
