"""Write the report of finished trainings as one HTML page."""

import os.path as osp
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from mmdavpt import visualization as vis
from mmdavpt.checkpoints.reading import read_run_checkpoint
from mmdavpt.checks.data.before_run import evenly_spread
from mmdavpt.errors import UsageError
from mmdavpt.visualization.figures import COLORS, to_svg

from ..data_report.page import encode, render
from ..experiment_report import median_costs
from .tested_run import TestedRun

TEMPLATE = Path(__file__).with_name('page.html.jinja')
#: Of a guided model in a checkpoint.
MAPPING = 'guidance.mapping'
#: Matches the names of checkpoints in a series, not `stopped` or `best_*`.
NUMBERED = re.compile(r'(epoch|iter)_\d+').fullmatch
#: Options that name a run only.
NAMES_ONLY = {'experiment_name', 'work_dir', 'load_from'}
#: How many of the best and of the worst images are shown.
IMAGES = 6
Runs = Mapping[str, TestedRun]


def write_page(folders: Sequence[Path]) -> str:
    """Test finished trainings, and return their report as an HTML page.

    Args:
        folders (Sequence[Path]): Their work folders.

    Raises:
        UsageError: If a folder is not that of a training, or if the runs
            have different classes or images.
    """
    runs = {}
    for folder, name in zip(folders, run_names(folders), strict=True):
        with TemporaryDirectory() as scratch:
            runs[name] = TestedRun(folder, scratch)
    first, *_ = runs.values()
    if len({(*r.class_names, *r.labels) for r in runs.values()}) > 1:
        raise UsageError(
            'the runs were tested on different classes or images; compare '
            'runs on the same data'
        )
    order = np.argsort([o.score for o in first.hook.outcomes], kind='stable')
    order = [i for i in order.tolist() if first.labels[i] >= 0]
    worst, best = order[:IMAGES], order[::-1][:IMAGES]
    scalars = {name: run.scalars for name, run in runs.items()}
    names = sorted({k for of_run in scalars.values() for k in of_run})
    models = {f'{n}: ': (r.model, r.dataset) for n, r in runs.items()}
    shown, classes = [*worst[:2], *best[:2]], first.class_names
    labels = [first.labels[i] for i in shown]
    figures = dict(
        Curves={n: vis.curve_figure(n, scalars) for n in names},
        Attention={'': vis.compare_attention(models, shown, labels, classes)},
        Mapping={name: draw_mapping(run) for name, run in runs.items()},
        Prompts={
            name: vis.draw_classes(run.model, run.dataset, run.class_labels)
            for name, run in runs.items()
        },
    )
    return render(
        TEMPLATE,
        runs=runs,
        colors=COLORS,
        metrics=sorted({name for r in runs.values() for name in r.metrics}),
        costs=median_costs({n: {0: run.record} for n, run in runs.items()}),
        scores=sorted(
            zip(*(run.scores() for run in runs.values()), count()),
            key=lambda row: np.nan_to_num(row[0], nan=np.inf),
        ),
        images={
            'Worst images': [draw_image(runs, i) for i in worst],
            'Best images': [draw_image(runs, i) for i in best],
        },
        figures={
            title: {name: to_svg(fig) for name, fig in drawn.items() if fig}
            for title, drawn in figures.items()
        },
        differences=config_differences([r.cfg for r in runs.values()]),
    )


def run_names(folders: Sequence[Path]) -> list[str]:
    """Return short, distinct names of work folders.

    Args:
        folders (Sequence[Path]): The folders.
    """
    paths = [folder.resolve() for folder in folders]
    root = paths[0].parent if len(paths) == 1 else osp.commonpath(paths)
    return [osp.relpath(path, root) for path in paths]


def config_differences(cfgs: Sequence[Mapping]) -> list[tuple[str, list[str]]]:
    """Return the options that differ, with the value of each config.

    Args:
        cfgs (Sequence[Mapping]): The configs.
    """
    flat = [dict(_flatten(cfg)) for cfg in cfgs]
    keys = sorted(set().union(*flat) - NAMES_ONLY)
    rows = [(key, [one.get(key, '') for one in flat]) for key in keys]
    return [row for row in rows if len({*row[1]}) > 1]


def _flatten(node: Mapping, path: str = '') -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f'{path}{key}.')
        else:
            yield f'{path}{key}', repr(value)


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
    batch, _, picture = vis.load_picture(first.model, first.dataset, index)
    drawn = dict(image=encode(Image.fromarray(picture), 'png'))
    if first.is_segmentation:
        size = len(first.class_names)
        colors = np.random.default_rng(0).integers(256, size=(size, 3))
        colors = first.dataset.metainfo.get('palette') or colors
        colors = np.array([*colors, (128, 128, 128)], dtype=np.uint8)
        for name, run in runs.items():
            with torch.no_grad():
                raw, *_ = vis.load_picture(run.model, run.dataset, index)
                (sample,) = run.model.test_step(raw)
            both = (sample.gt_sem_seg.data[0], sample.pred_sem_seg.data[0])
            masks = (colors[mask.cpu().clamp(max=size)] for mask in both)
            labels, found = (encode(Image.fromarray(m), 'png') for m in masks)
            drawn |= {'labels': labels, f'prediction of {name}': found}
    return dict(
        file=batch['data_samples'][0].get('img_path') or f'image {index}',
        pictures=drawn,
        outcomes=[run.hook.outcomes[index] for run in runs.values()],
    )


def draw_mapping(run: TestedRun, most: int = 3) -> Figure | None:
    """Draw the mapping of a guided run, and those of earlier checkpoints.

    Args:
        run (TestedRun): The run. Classes of a segmentation have no pictures.
        most (int): How many mappings, the first one in the folder among them.
            Defaults to 3.

    Returns:
        Figure | None: None without guidance.
    """
    if run.guidance is None:
        return None
    last = Path(run.checkpoint)
    paths = [p for p in last.parent.glob('*.pth') if NUMBERED(p.stem)]
    paths.sort(key=lambda path: int(path.stem.partition('_')[2]))
    paths = [path for path in paths if path != last] + [last]
    mappings = [
        (path.stem, read_run_checkpoint(str(path))['state_dict'][MAPPING])
        for path in (paths[i] for i in evenly_spread(len(paths), most))
    ]
    pictures = vis.load_examples(run.model, run.dataset, run.class_labels)
    prompts = run.guidance.num_prompts
    return vis.mapping_figure(run.class_names, mappings, pictures, prompts)
