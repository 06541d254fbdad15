"""A smoke test of each benchmark script."""

import json

import pytest
import torch
from mmpretrain.models import VisionTransformer

from benchmarks import (
    multi_task,
    scaling,
    slide_inference,
    training_step,
    whole_run,
)
from benchmarks.speed import sliding
from mmdavpt.errors import UsageError

from ..test_api.tiny_timm import use_tiny_models

ARCH = dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=48)


@pytest.fixture(autouse=True)
def toy_architecture(monkeypatch):
    monkeypatch.setitem(VisionTransformer.arch_zoo, 'toy', ARCH)


def test_training_step(tmp_path, capsys):
    out = tmp_path / 'figures.json'
    training_step.main(
        ['--models', 'vit-toy', '--size', '32', '--batch', '1', '2']
        + ['--rounds', '2', '--warmup', '0', '--out', str(out)]
        + ['--forms', 'concatenated', 'davpt']
    )
    text = capsys.readouterr().out
    assert text.count('| davpt |') == 4 and text.count('of a matmul') == 4
    rows = json.loads(out.read_text())['rows']
    assert [len(row['seconds']) for row in rows] == [2] * 8
    assert [row['case']['batch'] for row in rows] == [1] * 4 + [2] * 4


@pytest.mark.parametrize(
    'more, windows',
    [('', '2'), ('--scales 0.5 1 --flip', '6')],
)
def test_slide_inference(more, windows, tmp_path, capsys):
    out = tmp_path / 'figures.json'
    slide_inference.main(
        '--model setr-toy --images 32x53 --crop 32 --stride 21 --classes 5 '
        f'--prompts 2 --rounds 1 --device cpu --out {out} {more}'.split()
    )
    cells = capsys.readouterr().out.splitlines()[-1].split(' | ')
    assert cells[:2] == ['| 32 x 53', windows]
    theirs, ours, ratio = (float(cell.split()[0]) for cell in cells[2:])
    assert ratio == pytest.approx(ours / theirs, rel=0.02)
    assert json.loads(out.read_text())['rows'][0]['size'] == [32, 53]


def test_slide_inference_stops_if_results_differ():
    logits = torch.randn(1, 5, 4, 4)
    for result in (logits, logits.argmax(1)):
        runs = dict(mmseg=lambda x=result: x)
        sliding.check_equal(dict(runs, mmdavpt=lambda x=result: x))
        with pytest.raises(UsageError, match='should give the same'):
            sliding.check_equal(dict(runs, mmdavpt=lambda x=result: x + 1))


def test_scaling(tmp_path, capsys):
    out = tmp_path / 'scaling.json'
    scaling.main(
        ['--model', 'vit-toy', '--classes', '20', '--prompts', '5', '9']
        + ['--sizes', '32', '48', '--rounds', '1', '--out', str(out)]
        + ['--parts', 'classes', 'prompts', 'size', 'bytes']
    )
    content = json.loads(out.read_text())
    assert [row['size'] for row in content['size']] == [32, 48]
    assert scaling.to_markdown(content['bytes']) in capsys.readouterr().out
    assert (tmp_path / 'scaling.png').stat().st_size > 10_000


def test_multi_task(monkeypatch, tmp_path, capsys):
    use_tiny_models(monkeypatch)
    monkeypatch.setattr(multi_task, 'SIZE', 28)
    monkeypatch.setattr(multi_task, 'BATCH', 4)
    out = tmp_path / 'figures.json'
    argv = ['--tasks', '1', '3', '--rounds', '1', '--out', str(out)]
    multi_task.main(argv)
    assert capsys.readouterr().out.count('| separate |') == 2
    one, three = json.loads(out.read_text())
    shared, separate = three['weights_mb']
    assert one['weights_mb'][0] == one['weights_mb'][1] < shared < separate
    assert len(three['images_per_s']) == 2


def test_each_second_counts_for_one_phase():
    seconds = iter([0, 1, 3, 6, 10, 15, 21, 28])
    phases = whole_run.Phases(lambda: next(seconds))
    save = phases.wrapped(lambda: load() + 1, 'saving')
    load = phases.wrapped(lambda: 4, 'loading')
    with phases.phase('hooks and logging'):  # begins at 1
        assert save() == 5  # from 3 to 6; loading is a part of it
    with pytest.raises(ValueError), phases.phase('steps'):  # from 15 to 21
        raise ValueError
    phases.switch('end')
    loop = (1 - 0) + (15 - 10) + (28 - 21)
    hooks = (3 - 1) + (10 - 6)
    assert phases.seconds == {
        'rest of the loop': loop,
        'hooks and logging': hooks,
        'saving': 3,
        'steps': 6,
    }


def test_whole_run(tmp_path, capsys):
    out = tmp_path / 'figures.json'
    argv = ['--images', '8', '--classes', '4', '--epochs', '1']
    whole_run.main([*argv, '--out', str(out)])
    content = json.loads(out.read_text())
    assert (content['images'], content['classes']) == (8, 4)
    seconds = content['seconds']
    assert [*seconds] == ['imports', *whole_run.FUNCTIONS, whole_run.OPEN[0]]
    assert all(value > 0 for value in seconds.values())
    assert f'| {sum(seconds.values()):.2f} | 100' in capsys.readouterr().out


@pytest.mark.parametrize(
    'script, argv, message',
    [
        (training_step, '--models vit-x', 'a model should be one of'),
        (training_step, '--precision fp16 --device cpu', 'fp16 needs a GPU'),
        (training_step, '--prompts 0', 'should be at least 1'),
        (slide_inference, '--images 0x9', 'a size should be like 512x683'),
        (slide_inference, '--flip', '--flip needs --scales'),
        (slide_inference, '--model vit-toy', 'need a segmentor'),
    ],
)
def test_mistakes_end_in_one_line(script, argv, message, capsys):
    with pytest.raises(SystemExit):
        script.main(argv.split())
    assert message in capsys.readouterr().err
