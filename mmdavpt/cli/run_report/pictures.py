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
    confusion_figure,
    curve_figure,
    layer_attention,
    mapping_figure,
    projection_figure,
)
from mmdavpt.visualization.figures import to_svg

from ..data_report.thumbnails import encode
from .tested_run import TestedRun

#: Logged scalars that are no results.
NO_CURVES = {'base_lr', 'data_time', 'time', 'memory'}
#: How many images a projection shows, and classes a mapping with pictures.
MOST_POINTS, MOST_PICTURES = 200, 60
Runs = Mapping[str, TestedRun]


def draw_image(runs: Runs, index: int) -> dict:
    """Draw an image, and for segmentation its labels and predictions.

    Args:
        runs (Mapping[str, TestedRun]): The runs by name.
        index (int): Index of the image in their dataset.

    Returns:
        dict: 'file' of the image; 'pictures', pairs of title and data URI;
        and 'outcomes', one of each run.
    """
    first, *_ = runs.values()
    batch, _, picture = first.load(index)
    drawn = [('image', picture)]
    if first.is_segmentation:
        size = len(first.class_names)
        colors = first.dataset.metainfo.get('palette')
        if colors is None:
            colors = np.random.default_rng(0).integers(256, size=(size, 3))
        colors = np.array([*colors, (128, 128, 128)], dtype=np.uint8)
        for name, run in runs.items():
            with torch.no_grad():
                (sample,) = run.model.test_step(run.load(index)[0])
            labels, found = (
                colors[sample.get(key).data[0].cpu().clamp(max=size)]
                for key in ('gt_sem_seg', 'pred_sem_seg')
            )
            drawn += [(f'prediction of {name}', found)]
        drawn.insert(1, ('labels', labels))
    return dict(
        file=batch['data_samples'][0].get('img_path') or f'image {index}',
        pictures=[(t, encode(Image.fromarray(p), 'png')) for t, p in drawn],
        outcomes=[run.hook.outcomes[index] for run in runs.values()],
    )


def draw_figures(
    runs: Runs, shown: Sequence[int]
) -> dict[str, list[tuple[str, str]]]:
    """Return the title of each section to names and data URIs of figures.

    Args:
        runs (Mapping[str, TestedRun]): The runs by name.
        shown (Sequence[int]): Indices of the images to draw attention over.
    """
    curves = {}
    for name in sorted(set().union(*(r.scalars for r in runs.values()))):
        lines = {n: r.scalars.get(name, ((), ())) for n, r in runs.items()}
        curves[name] = curve_figure(name, lines)
    found = {
        'Curves': {n: c for n, c in curves.items() if n not in NO_CURVES},
        'Confusion matrix': {
            name: confusion_figure(run.hook.matrix, run.class_names)
            for name, run in runs.items()
        },
        'Attention': {'last layer with prompts': _attention(runs, shown)},
        'Classes and prompts': {n: _mapping(r) for n, r in runs.items()},
        'Projection': {n: _projection(r) for n, r in runs.items()},
    }
    return {
        title: [(name, to_svg(fig)) for name, fig in figures.items() if fig]
        for title, figures in found.items()
    }


def _last_layer(run: TestedRun) -> int:
    """Return the last layer with prompts, or else the last one."""
    counts = run.model.backbone.prompts.counts
    return max((i for i, n in enumerate(counts) if n), default=-1)


def _attention(runs: Runs, shown: Sequence[int]) -> Figure | None:
    columns: dict[str, list] = {}
    for (name, run), i in ((run, i) for run in runs.items() for i in shown):
        backbone, guidance = run.model.backbone, run.model.guidance
        if not isinstance(backbone, PromptedBackbone):
            continue
        task = backbone, run.load(i)[1], _last_layer(run)
        maps, prompts = layer_attention(*task)
        prompt, title = -1, f'{name}: the class’s prompt'
        if guidance is not None:
            prompt = int(guidance.mapping[run.hook.outcomes[i].label])
        elif prompts.shape[-1]:
            prompt = int(prompts.mean(dim=1).argmax())
            title = f'{name}: the prompt that [CLS] attends to most'
        columns.setdefault(f'{name}: [CLS]', []).append(maps)
        if prompts.shape[-1]:
            maps = layer_attention(*task, max(prompt, 0)).patches
            maps = maps if prompt >= 0 else maps * 0
            columns.setdefault(title, []).append(maps)
    if not columns:
        return None
    first, *_ = runs.values()
    labels = [first.class_names[first.hook.outcomes[i].label] for i in shown]
    return attention_figure(
        [first.load(i)[2] for i in shown],
        {
            title: [maps[0].mean(dim=0).cpu().numpy() for maps in column]
            for title, column in columns.items()
        },
        labels,
    )


def _mapping(run: TestedRun) -> Figure | None:
    if run.model.guidance is None:
        return None
    last = Path(run.checkpoint)
    numbered = {
        int(path.stem.rpartition('_')[2]): path
        for path in last.parent.glob('*_[0-9]*.pth')
    }
    mappings = {last.stem: run.model.guidance.mapping.tolist()}
    path = numbered[min(numbered)] if numbered else last
    if path != last:
        state = read_run_checkpoint(str(path))['state_dict']
        mappings = {path.stem: state['guidance.mapping'].tolist(), **mappings}
    best: dict[int, int] = {}
    for i, outcome in sorted(
        enumerate(run.hook.outcomes), key=lambda pair: pair[1].score
    ):
        best[outcome.label] = i
    pictures, names = None, run.class_names
    if not run.is_segmentation and len(best) == len(names) <= MOST_PICTURES:
        pictures = [run.load(best[k])[2] for k in range(len(names))]
    number = run.model.guidance.num_prompts
    return mapping_figure(names, [*mappings.items()], number, pictures)


@torch.no_grad()
def _projection(run: TestedRun) -> Figure | None:
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
