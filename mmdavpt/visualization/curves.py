"""Learning curves from the log of a run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from .figures import COLORS, MARKERS

#: Fields of the log that are no quantities.
OTHERS = {'epoch', 'iter', 'step', 'base_lr', 'data_time'}
Curve = tuple[Sequence[float], Sequence[float]]


def read_scalars(run: str | Path) -> dict[str, Curve]:
    """Read the logged scalars of a run, over all its resumptions.

    Args:
        run (str | Path): The work folder. Its logs are
            ``*/vis_data/scalars.json``, which mmengine writes.

    Returns:
        dict[str, Curve]: Name to iterations and values, in order. After an
        epoch, validations count the iterations so far. ``moved_classes`` is
        the number of classes that a new mapping moved to another prompt.
    """
    found: dict[str, dict[int, float]] = {}
    ends: dict[int, int] = {}
    for path in sorted(Path(run).glob('*/vis_data/scalars.json')):
        for line in path.read_text('utf-8').splitlines():
            try:
                record = json.loads(line)
            except ValueError:  # a killed run leaves a part of a line
                continue
            step = record.get('iter', record.get('step', 0))
            if 'iter' in record:  # of training
                ends[record.get('epoch')] = step
            elif record.pop('data_time', None) is not None:
                # A validation counts epochs; its time is its own.
                step = ends.get(step, step)
                record.pop('time', None)
            for name in record.keys() - OTHERS:
                found.setdefault(name, {})[step] = record[name]
    return {
        name: tuple(zip(*sorted(values.items()), strict=True))
        for name, values in sorted(found.items())
    }


def curve_figure(name: str, runs: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Draw one quantity over the iterations, for one or more runs.

    Args:
        name (str): The quantity.
        runs (Mapping[str, Mapping[str, Curve]]): Run to its scalars, see
            :func:`read_scalars`. A run keeps its color and marker in all
            figures; one without the quantity is left out.
    """
    with rc_context({'text.parse_math': False}):
        figure = Figure(figsize=(4.4, 2.9), layout='constrained')
        ax = figure.subplots()
        for i, (run, scalars) in enumerate(runs.items()):
            steps, values = scalars.get(name, ((), ()))
            style = dict(color=COLORS[i % len(COLORS)])
            if len(steps) < 40:
                style |= dict(marker=MARKERS[i % len(MARKERS)], markersize=4)
            # A label that starts with _ would be left out of a legend.
            ax.plot(steps, values, label=f' {run}', **style)
        ax.set(xlabel='iteration', ylabel=name)
        ax.grid(alpha=0.25)
        ax.spines[['top', 'right']].set_visible(False)
        ax.locator_params(nbins=5)
    return figure
