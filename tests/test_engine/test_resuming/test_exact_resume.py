"""Killed trainings resume bit for bit."""

import random
import signal
from functools import cache

import numpy as np
import pytest
import torch

from benchmarks.soak import kill_configs, kill_starts, kills
from benchmarks.soak.kill_configs import RUNS
from benchmarks.soak.kill_starts import Kill, NotKept
from mmdavpt.engine.resuming.exact_loop import ExactLoop

pytestmark = pytest.mark.forks

#: `benchmarks/soak/soak.py kills` runs all of them.
HERE = [name for name in RUNS if name != 'epochs, new workers']
KILLS_OF_EACH = 3


@pytest.fixture(scope='module', autouse=True)
def _imported():
    kill_starts.prepare()


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    """Return a function that trains each run once without interruption."""
    return cache(
        lambda name: kills.uninterrupted(name, tmp_path_factory.mktemp('run'))
    )


@pytest.mark.parametrize('name', HERE)
def test_killed_runs_resume_bit_for_bit(tmp_path, uninterrupted, name):
    expected, iterations = uninterrupted(name)
    # It fixes the signals and iterations; the moment depends on the machine.
    rng = random.Random(name)
    outcomes = []
    while len(outcomes) < KILLS_OF_EACH:
        left = KILLS_OF_EACH - len(outcomes)
        drawn = kills.draw_kills(rng, name, iterations, left)
        outcomes += kills.kill_and_compare(
            name, tmp_path / f'killed {left}', drawn, expected
        )


def test_an_unseeded_draw_is_detected(tmp_path, monkeypatch):
    monkeypatch.setattr(ExactLoop, '_seed', lambda self, kind: None)
    # Without workers, loading the batch would seed what comes after it.
    name = 'epochs, workers, saved within'
    expected, _ = kills.uninterrupted(name, tmp_path / 'whole')
    stop = Kill(signal.SIGTERM, after=3)
    with pytest.raises(NotKept, match='values differ'):
        kills.kill_and_compare(name, tmp_path / 'a', [stop], expected)


def test_the_seed_changes_the_result(tmp_path, uninterrupted, monkeypatch):
    expected, _ = uninterrupted('epochs')
    make, changes, number = RUNS['epochs']
    changed = {**changes, 'randomness.seed': 1}
    monkeypatch.setitem(RUNS, 'epochs', (make, changed, number))
    assert kills.compare(expected, kills.uninterrupted('epochs', tmp_path)[0])


def test_resumed_run_uses_the_seed_of_its_checkpoint(tmp_path, monkeypatch):
    make, changes, number = RUNS['epochs']
    changes = {
        **changes,
        'default_hooks.checkpoint': dict(type='CheckpointHook', interval=1),
    }
    monkeypatch.setitem(
        RUNS, 'unseeded', (make, {**changes, 'randomness.seed': None}, number)
    )
    # The second start would draw another seed.
    np.random.seed(1)
    done = kill_starts.start(
        'unseeded', tmp_path / 'killed', Kill(signal.SIGUSR1, after=3)
    )
    assert done.killed and done.exit_codes == [0]
    np.random.seed(2)
    assert not any(
        kill_starts.start('unseeded', tmp_path / 'killed').exit_codes
    )
    saved = torch.load(tmp_path / 'killed' / 'epoch_3.pth', weights_only=False)
    seeded = {**changes, 'randomness.seed': saved['meta']['seed']}
    monkeypatch.setitem(RUNS, 'seeded', (make, seeded, number))
    expected, _ = kills.uninterrupted('seeded', tmp_path / 'whole')
    assert not kills.compare(
        expected, kill_starts.ends('unseeded', tmp_path / 'killed')
    )


def test_other_data_restarts_the_epoch_with_a_warning(tmp_path, monkeypatch):
    make, changes, number = RUNS['epochs']
    first = kill_starts.start(
        'epochs', tmp_path, Kill(signal.SIGTERM, after=7)
    )
    assert first.exit_codes == [0]
    done = len(first.iterations)
    changed = {**changes, 'train_dataloader.dataset.num_images': 20}
    monkeypatch.setitem(RUNS, 'epochs', (make, changed, number))
    again = kill_starts.start('epochs', tmp_path)
    # Epochs had six iterations, and have five.
    assert len(again.iterations) == (3 - (done - 1) // 6) * 5
    output = (tmp_path / 'output_0.txt').read_text()
    assert 'another number of training images, batch size' in output
    assert f'stopped by SIGTERM after iteration {done} of 18' in output


def test_killed_runs_cover_all_kinds():
    made = [kill_configs.config_of(name, 'x') for name in HERE]
    assert len(HERE) * KILLS_OF_EACH >= 20
    assert {cfg.train_cfg.by_epoch for cfg in made} == {True, False}
    assert {cfg.train_dataloader.num_workers for cfg in made} == {0, 2}
    assert {RUNS[name][2] for name in HERE} == {1, 2}
