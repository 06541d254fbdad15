"""Figures and pictures of a report, as data URIs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from mmdavpt.checkpoints.reading import read_run_checkpoint
from mmdavpt.models.backbones import PromptedBackbone, TokenRequest
from mmdavpt.visualization import (
    attention_figure,
    layer_attention,
    projection_figure,
)

from ..data_report.page import encode
from .tested_run import TestedRun

#: How many images a projection shows.
MOST_POINTS = 200
Runs = Mapping[str, TestedRun]


def draw(picture: np.ndarray) -> str:
    """Return a small picture, uint8, RGB, (H, W, 3), as a data URI."""
    return encode(Image.fromarray(np.ascontiguousarray(picture)), 'png')


def draw_image(runs: Runs, index: int) -> dict:
    """Draw an image, and for segmentation its labels and predictions.

    Args:
        runs (Mapping[str, TestedRun]): The runs by name.
        index (int): Index of the image in their dataset.

    Returns:
        dict: 'file' of the image; 'pictures', titles and data URIs; and
        'outcomes', one of each run.
    """
    first, *_ = runs.values()
    batch, _, picture = first.load(index)
    drawn = dict(image=draw(picture))
    if first.is_segmentation:
        size = len(first.class_names)
        drawn_at_random = np.random.default_rng(0).integers(
            256, size=(size, 3)
        )
        colors = first.dataset.metainfo.get('palette') or drawn_at_random
        colors = np.array([*colors, (128, 128, 128)], dtype=np.uint8)
        for name, run in runs.items():
            with torch.no_grad():
                (sample,) = run.model.test_step(run.load(index)[0])
            labels, found = sample.gt_sem_seg, sample.pred_sem_seg
            labels, found = (
                draw(colors[x.data[0].cpu().clamp(max=size)])
                for x in (labels, found)
            )
            drawn |= {'labels': labels, f'prediction of {name}': found}
    return dict(
        file=batch['data_samples'][0].get('img_path') or f'image {index}',
        pictures=drawn,
        outcomes=[run.hook.outcomes[index] for run in runs.values()],
    )


def describe_mapping(run: TestedRun) -> dict | None:
    """Return the mapping of a guided run, and how it changed.

    Args:
        run (TestedRun): The run.

    Returns:
        dict | None: 'after', the prompt of each class; 'before', that of the
        first checkpoint in its folder, 'first'; 'pictures', the best image
        of each class as a data URI, '' without. None without guidance.
    """
    if run.model.guidance is None:
        return None
    paths = Path(run.checkpoint).parent.glob('*_[0-9]*.pth')
    first = min(paths, key=lambda path: int(path.stem.rpartition('_')[2]))
    state = read_run_checkpoint(str(first))['state_dict']
    pictures, order = [''] * len(run.class_names), run.hook.outcomes
    if not run.is_segmentation:
        for i in sorted(range(len(order)), key=lambda i: order[i].score):
            pictures[order[i].label] = i
        pictures = [i if i == '' else draw(run.load(i)[2]) for i in pictures]
    return dict(
        after=run.model.guidance.mapping.tolist(),
        before=state['guidance.mapping'].tolist(),
        first=first.stem,
        pictures=pictures,
        num_prompts=run.model.guidance.num_prompts,
    )


def draw_attention(runs: Runs, shown: Sequence[int]) -> Figure | None:
    """Draw attention in the last layer with prompts, mean over heads.

    Args:
        runs (Mapping[str, TestedRun]): The runs by name.
        shown (Sequence[int]): Indices of the images.

    Returns:
        Figure | None: For each run [CLS] and the prompt of the class, without
        guidance the prompt that [CLS] attends to most. None if no run has a
        prompted backbone.
    """
    columns: dict[str, list] = {}
    for name, run in runs.items():
        if not isinstance(run.model.backbone, PromptedBackbone):
            continue
        for i in shown:
            task = run.model.backbone, run.load(i)[1], _last_layer(run)
            maps, prompts = layer_attention(*task)
            columns.setdefault(f'{name}: [CLS]', []).append(maps)
            if not prompts.shape[-1]:
                continue
            prompt, title = prompts.mean(dim=1).argmax(), 'strongest prompt'
            if run.model.guidance is not None:
                label, title = run.hook.outcomes[i].label, 'prompt of class'
                prompt = run.model.guidance.mapping[label]
            maps = layer_attention(*task, prompt.clamp(min=0)).patches
            maps = maps * (prompt >= 0)  # nothing for a class without one
            columns.setdefault(f'{name}: {title}', []).append(maps)
    if not columns:
        return None
    first, *_ = runs.values()
    maps = {
        title: [x[0].mean(dim=0).cpu().numpy() for x in column]
        for title, column in columns.items()
    }
    names = [first.class_names[first.hook.outcomes[i].label] for i in shown]
    return attention_figure([first.load(i)[2] for i in shown], maps, names)


@torch.no_grad()
def draw_projection(run: TestedRun) -> Figure | None:
    """Draw prompts and [CLS] tokens of the last layer with prompts.

    Args:
        run (TestedRun): The run.

    Returns:
        Figure | None: None for a segmentation or without prompts.
    """
    backbone, outcomes = run.model.backbone, run.hook.outcomes
    if run.is_segmentation or not len(getattr(backbone, 'prompts', ())):
        return None
    layer = _last_layer(run)
    names = frozenset(['prompt_input', 'cls_input'])
    request = TokenRequest((layer,), names)
    shown = range(0, len(outcomes), max(1, len(outcomes) // MOST_POINTS))
    tokens = [
        backbone.forward_with_tokens(run.load(i)[1], request)[1].guided[layer]
        for i in shown
    ]
    return projection_figure(
        tokens[0]['prompt_input'].cpu().numpy(),
        torch.cat([t['cls_input'] for t in tokens]).cpu().numpy(),
        [outcomes[i].label for i in shown],
        run.model.guidance and run.model.guidance.mapping.tolist(),
    )


def _last_layer(run: TestedRun) -> int:
    """Return the last layer with prompts, or else the last one."""
    counts = run.model.backbone.prompts.counts
    return max((i for i, n in enumerate(counts) if n), default=-1)
