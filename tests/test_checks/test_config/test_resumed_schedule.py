"""What a resumed run takes from its checkpoint against its config."""

import copy

import torch
from mmengine.config import Config
from mmengine.optim import (
    CosineAnnealingLR,
    LinearLR,
    MultiStepLR,
    OptimWrapper,
    ReduceOnPlateauLR,
)

from mmdavpt.checks.config.resumed_schedule import schedule_note
from mmdavpt.cli.common import build_runner
from tests import toy


def optimizer(lr=0.1):
    numbers = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    return OptimWrapper(
        torch.optim.SGD([{'params': [n]} for n in numbers], lr)
    )


def built(end=4, lr=0.1, gamma=0.1):
    wrapper = optimizer(lr)
    return [
        LinearLR(wrapper, start_factor=0.5, end=2),
        CosineAnnealingLR(wrapper, T_max=end - 2, begin=2, end=end),
        MultiStepLR(wrapper, milestones=[2, 3], gamma=gamma),
        ReduceOnPlateauLR(wrapper, monitor='x'),
    ]


def stored(**options):
    """Return the states of schedules that are underway."""
    schedules = built(**options)
    for _ in range(3):
        for schedule in schedules:
            schedule.optimizer.step()
            schedule.step()
    return [copy.deepcopy(schedule.state_dict()) for schedule in schedules]


def test_the_same_schedules_are_not_worth_a_word():
    assert schedule_note(built(), stored()) is None
    for nothing in (None, [], {}):
        assert schedule_note(nothing, stored()) is None
        assert schedule_note(built(), nothing) is None


def test_what_differs_is_named_with_both_values():
    note = schedule_note(built(end=9), stored())
    assert '`param_scheduler.1` (CosineAnnealingLR) has ' in note
    assert 'T_max=2 (the config has 7)' in note
    assert 'end=4 (the config has 9)' in note
    assert 'param_scheduler.0' not in note and 'more' not in note
    assert 'gamma=0.1 (the config has 0.5)' in schedule_note(
        built(gamma=0.5), stored()
    )
    note = schedule_note(built(lr=0.2, end=5), stored())
    assert '(LinearLR) has lr=0.1 (the config has 0.2)' in note
    assert ', and 1 more;' in note


def test_another_number_of_schedules():
    note = schedule_note(built()[:3], stored())
    assert '4 schedules (the config has 3 in `param_scheduler`)' in note


def test_schedules_of_several_optimizers():
    several = dict(prompts=built(), head=built(end=9))
    note = schedule_note(several, dict(prompts=stored(), head=stored()))
    assert '`param_scheduler.head.1`' in note and 'prompts' not in note
    assert schedule_note(several, dict(prompts=stored())) is None


def test_a_longer_training_that_is_resumed_says_so_once(tmp_path):
    cosine = dict(type='CosineAnnealingLR', by_epoch=True)
    changes = {'param_scheduler': [cosine], 'train_cfg.max_epochs': 1}
    cfg = toy.classification(tmp_path, changes, num_images=8)
    build_runner(Config(cfg), training=True).train()
    cfg['train_cfg']['max_epochs'] = 3
    cfg.update(resume=True, load_from=str(tmp_path / 'epoch_1.pth'))
    cfg['experiment_name'] += '_resumed'
    runner = build_runner(Config(cfg), training=True)
    said = []
    runner.logger.warning = said.append
    runner.train()
    said = [line for line in said if 'schedule' in str(line)]
    assert len(said) == 1
    assert '`param_scheduler.0` (CosineAnnealingLR) has ' in said[0]
    assert 'end=1 (the config has 3)' in said[0]
