"""Write the report of finished trainings as one HTML page."""

import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jinja2 import Environment

from mmdavpt.errors import UsageError, printable
from mmdavpt.visualization.figures import COLORS, MARKERS

from ..experiment_report import mean_costs
from .pictures import draw_figures, draw_image
from .tested_run import TestedRun

TEMPLATE = Path(__file__).with_name('page.html.jinja')
#: Options that name a run only.
NAMES_ONLY = {'experiment_name', 'work_dir', 'load_from', 'resume'}


def write_page(folders: Sequence[Path], images: int = 6) -> str:
    """Test finished trainings, and return their report as an HTML page.

    Args:
        folders (Sequence[Path]): Their work folders.
        images (int): How many best and worst images to show. Defaults to 6.

    Raises:
        UsageError: If a folder is not that of a training, or if the runs
            have different classes or images.
    """
    runs = {}
    for folder, name in zip(folders, run_names(folders), strict=True):
        with TemporaryDirectory() as scratch:
            runs[name] = TestedRun(folder, scratch)
    first = next(iter(runs.values()))
    for name, run in runs.items():
        if (run.class_names, len(run.hook.outcomes)) != (
            first.class_names,
            len(first.hook.outcomes),
        ):
            raise UsageError(
                f'{name} was tested on other classes or images than '
                f'{next(iter(runs))}; compare runs on the same data'
            )
    order = np.argsort([o.score for o in first.hook.outcomes], kind='stable')
    worst, best = order[:images].tolist(), order[::-1][:images].tolist()
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(TEMPLATE.read_text('utf-8')).render(
        runs=runs,
        styles=[
            (COLORS[i % len(COLORS)], '●■▲◆▼'[i % len(MARKERS)])
            for i in range(len(runs))
        ],
        metrics=sorted(set().union(*(r.metrics for r in runs.values()))),
        costs=mean_costs({n: {0: run.record} for n, run in runs.items()}),
        scores=sorted(
            zip(
                first.class_names,
                first.hook.matrix.sum(axis=1).tolist(),
                zip(*(run.scores() for run in runs.values()), strict=True),
                strict=True,
            ),
            key=lambda row: np.nan_to_num(row[2][0], nan=np.inf),
        ),
        is_segmentation=first.is_segmentation,
        images={
            'Worst images': [draw_image(runs, i) for i in worst],
            'Best images': [draw_image(runs, i) for i in best],
        },
        figures=draw_figures(runs, [*worst[:2], *best[:2]]),
        differences=config_differences([r.cfg for r in runs.values()]),
    )
    return printable(page)


def run_names(folders: Sequence[Path]) -> list[str]:
    """Return short, distinct names of work folders.

    Args:
        folders (Sequence[Path]): The folders.
    """
    paths = [folder.resolve() for folder in folders]
    if len({*paths}) < len(paths):
        raise UsageError('each run should be listed once')
    root = paths[0].parent if len(paths) == 1 else osp.commonpath(paths)
    return [osp.relpath(path, root) for path in paths]


def config_differences(
    configs: Sequence[Mapping],
) -> list[tuple[str, list[str]]]:
    """Return the options that differ, with the value of each config.

    Args:
        configs (Sequence[Mapping]): The configs.
    """
    flat = [dict(_flatten(cfg)) for cfg in configs]
    keys = sorted(set().union(*flat) - NAMES_ONLY)
    rows = [(key, [one.get(key, '') for one in flat]) for key in keys]
    return [row for row in rows if len({*row[1]}) > 1]


def _flatten(node: Mapping, path: str = '') -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f'{path}{key}.')
        else:
            yield f'{path}{key}', repr(value)
