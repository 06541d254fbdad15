"""How costs grow, counted; and what processes send each other."""

import json
from dataclasses import replace

import pytest
from mmpretrain.models import VisionTransformer

from benchmarks import scaling
from benchmarks.speed import cases, communication, scales
from benchmarks.speed.cases import Case

ARCH = dict(embed_dims=192, num_layers=2, num_heads=3, feedforward_channels=99)
TOY = Case('vit-toy', prompts=4, batch=2, size=32, classes=7, patch=8)


@pytest.fixture(autouse=True)
def toy_architecture(monkeypatch):
    monkeypatch.setitem(VisionTransformer.arch_zoo, 'toy', ARCH)


def test_bytes_by_hand():
    """2 layers of 192 channels; 7 classes."""
    assert communication.bytes_of(TOY) == dict(
        prompts=2 * 4 * 192 * 4,
        head=(7 * 192 + 7) * 4,
        statistics=7 * 192 * 4 + 7 * 8 + 7 * 8,
    )
    unguided = communication.bytes_of(TOY, 'vpt')
    assert unguided['statistics'] == 0
    plus = communication.bytes_of(TOY, 'davpt-plus')
    assert plus['prompts'] - unguided['prompts'] == 2 * 2 * 192 * 4


@pytest.mark.slow
def test_two_processes_send_what_is_said():
    small = replace(TOY, model='vit-deit-tiny')
    run = communication.run_processes(small, processes=2, rounds=1)
    assert run['sent'] == sum(communication.bytes_of(small).values())
    assert len(run['seconds']) == len(run['cpu']) == 1


def test_a_ring_of_two_sends_the_message_once():
    assert communication.ring_seconds(10**9, 2, 10**9) == 1
    assert communication.ring_seconds(10**9, 64, 10**9) == 1.96875


def test_a_step_grows_with_prompts_and_pixels_as_the_formula_says():
    rows = scales.grow_prompts(TOY, [4, 8, 16])
    # Linear in prompts for the prefix, beside what every layer costs anyway.
    steps = [row['davpt_gflop'] for row in rows]
    assert steps[2] - steps[1] == pytest.approx(2 * (steps[1] - steps[0]))
    assert all(row['davpt_gflop'] < row['concatenated_gflop'] for row in rows)
    sizes = scales.grow_size(replace(TOY, batch=1), [32, 64])
    # Four times the patches, and attention on top.
    assert 3.5 < sizes[1]['davpt_gflop'] / sizes[0]['davpt_gflop'] < 16


def test_representations_lie_in_groups():
    points = scales.class_points(200, 16)
    assert points.shape == (200, 16)
    assert (points == scales.class_points(200, 16)).all()
    assert (points != scales.class_points(200, 16, seed=1)).any()


def test_state_is_that_of_the_buffers():
    (row,) = scales.grow_classes([30], [5, 30], channels=192, rounds=1)
    guidance = cases.build_model(
        replace(TOY, classes=30, prompts=5), 'davpt'
    ).guidance
    floats = [x.nbytes for x in guidance.buffers() if x.is_floating_point()]
    assert row['state'] == sum(floats)
    assert row['prompts'] == 5  # 30 classes on 30 prompts need no k-means
    assert min(row[key] for key in ('first', 'again', 'observe')) > 0


def test_command_writes_tables_and_a_plot(tmp_path, capsys):
    scaling.main(
        ['--model', 'vit-toy', '--classes', '20', '--prompts', '5', '9']
        + ['--sizes', '32', '48', '--rounds', '1', '--out', str(tmp_path)]
        + ['--parts', 'classes', 'prompts', 'size', 'bytes']
    )
    text = capsys.readouterr().out
    assert (tmp_path / 'scaling.md').read_text() == text
    content = json.loads((tmp_path / 'scaling.json').read_text())
    assert [row['size'] for row in content['size']] == [32, 48]
    assert scaling.to_markdown(content['bytes']) in text
    assert (tmp_path / 'scaling.png').stat().st_size > 10_000
