"""Write the report of finished trainings as one HTML page."""

import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmdavpt.errors import UsageError
from mmdavpt.visualization import curve_figure
from mmdavpt.visualization.figures import COLORS, MARKERS, to_svg

from ..data_report.page import render
from ..experiment_report import mean_costs
from .pictures import (
    describe_mapping,
    draw_attention,
    draw_image,
    draw_projection,
)
from .tested_run import TestedRun

TEMPLATE = Path(__file__).with_name('page.html.jinja')
#: Logged scalars that are no results, and options that name a run only.
NO_CURVES = {'base_lr', 'data_time', 'time', 'memory'}
NAMES_ONLY = {'experiment_name', 'work_dir', 'load_from', 'resume'}
#: The markers of figures as text.
SIGNS = dict(zip(MARKERS, '●■▲◆▼', strict=True))


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
    first, *others = runs.values()
    for run in others:
        labels, expected = (
            [o.label for o in r.hook.outcomes] for r in (run, first)
        )
        if run.class_names != first.class_names or labels != expected:
            raise UsageError(
                'the runs were tested on different classes or images; '
                'compare runs on the same data'
            )
    order = np.argsort([o.score for o in first.hook.outcomes], kind='stable')
    worst, best = order[:images].tolist(), order[::-1][:images].tolist()
    curves = {
        name: curve_figure(
            name, {n: r.scalars.get(name, ((), ())) for n, r in runs.items()}
        )
        for name in sorted({k for run in runs.values() for k in run.scalars})
        if name not in NO_CURVES
    }
    figures = dict(
        Curves=curves,
        Attention={'': draw_attention(runs, [*worst[:2], *best[:2]])},
        Projection={name: draw_projection(r) for name, r in runs.items()},
    )
    return render(
        TEMPLATE,
        runs=runs,
        first=first,
        # Of curves; as many as there are, then again from the first.
        styles=[
            (COLORS[i % len(COLORS)], SIGNS[MARKERS[i % len(MARKERS)]])
            for i in range(len(runs))
        ],
        metrics=sorted({name for r in runs.values() for name in r.metrics}),
        costs=mean_costs({n: {0: run.record} for n, run in runs.items()}),
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
        mappings={n: describe_mapping(run) for n, run in runs.items()},
        differences=config_differences([r.cfg for r in runs.values()]),
    )


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
