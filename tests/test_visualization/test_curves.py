"""Learning curves from the logs of runs."""

import json

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmdavpt.visualization import curve_figure, read_scalars

from ..toy import classification, segmentation


def write(run, name, *records):
    path = run / name / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, records)))
    return path


def test_curves_by_hand(tmp_path):
    path = write(
        tmp_path,
        '1',
        dict(loss=3.0, time=1.0, epoch=1, iter=5, step=5),
        {'accuracy/top1': 10.0, 'data_time': 0.1, 'time': 7.0, 'step': 1},
        dict(moved_classes=4, step=5),
        dict(loss=2.5, epoch=2, iter=8, step=8),
        dict(loss=9.0, epoch=2, iter=10, step=10),
    )
    with path.open('a') as file:
        file.write('\n{"loss": 1.0, "ep')  # killed
    # Resumed from iteration 8: it repeats 9 and 10.
    write(
        tmp_path,
        '2',
        dict(loss=2.0, epoch=2, iter=10, step=10),
        {'accuracy/top1': 30.0, 'data_time': 0.1, 'step': 2},
        dict(moved_classes=0, step=10),
    )
    assert read_scalars(tmp_path) == {
        'accuracy/top1': ((5, 10), (10.0, 30.0)),
        'loss': ((5, 8, 10), (3.0, 2.5, 2.0)),
        'moved_classes': ((5, 10), (4, 0)),
        'time': ((5,), (1.0,)),
    }
    assert read_scalars(tmp_path / '1' / 'none') == {}


@pytest.mark.parametrize(
    'make, steps', [(classification, (3, 6)), (segmentation, (2, 4))]
)
def test_curves_of_a_run(tmp_path, make, steps):
    own = make(tmp_path).get('default_hooks', {}).get('logger', {})
    logger = dict(own, type='LoggerHook', interval=1)
    interval = 1 if make is classification else 2
    changes = {
        'default_hooks.logger': logger,
        'train_cfg.val_interval': interval,
    }
    Runner.from_cfg(Config(make(tmp_path, changes))).train()
    found = read_scalars(tmp_path)
    # An epoch of the segmentation has 2 iterations.
    assert found['moved_classes'][0] == steps
    assert all(0 <= n <= 27 for n in found['moved_classes'][1])
    names = ('accuracy/top1',) if make is classification else ('mIoU',)
    assert all(found[name][0] == steps for name in names)
    assert {'loss_guidance_token', 'loss_guidance_cls'} <= found.keys()
    assert found['loss'][0] == tuple(range(1, steps[1] + 1))


def test_runs_keep_their_style():
    many = (range(50), range(50))
    runs = {
        '_a$x$': dict(loss=([1, 2], [3, 4]), lr=many),
        'without': {},
        'b': dict(loss=([1], [9])),
    }
    figure = curve_figure('loss', runs)
    figure.canvas.draw()
    ax = figure.axes[0]
    first, gone, third = ax.lines
    assert first.get_xydata().tolist() == [[1, 3], [2, 4]]
    assert not len(gone.get_xdata())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ('iteration', 'loss')
    handles, labels = ax.get_legend_handles_labels()
    assert labels == [' _a$x$', ' without', ' b'] and first in handles
    assert first.get_color() != third.get_color()
    assert first.get_marker() != third.get_marker()
    (line, *_) = curve_figure('lr', runs).axes[0].lines
    assert line.get_color() == first.get_color()
    assert line.get_marker() == 'None'
