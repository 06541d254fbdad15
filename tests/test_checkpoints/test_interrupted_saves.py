"""The soak test of saving passes, and detects broken savers."""

import math

import pytest
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from benchmarks.soak import saves
from mmdavpt.engine.hooks import DAVPTCheckpointHook
from mmdavpt.engine.runner import DAVPTRunner


def test_nothing_is_lost():
    report = saves.run(count=8, seed=0, deadline=math.inf)
    assert report.lines()[1:] == []
    assert report.count == 8 and len(report.outcomes) >= 3


@pytest.mark.slow
@pytest.mark.parametrize(
    'owner, name, broken',
    [
        (DAVPTRunner, 'save_checkpoint', Runner.save_checkpoint),
        (
            DAVPTCheckpointHook,
            '_save_checkpoint_with_step',
            CheckpointHook._save_checkpoint_with_step,
        ),
    ],
)
def test_losses_of_mmengine_are_detected(monkeypatch, owner, name, broken):
    monkeypatch.setattr(owner, name, broken)
    assert saves.run(count=4, seed=0, deadline=math.inf).failures
