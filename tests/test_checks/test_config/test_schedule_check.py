"""Schedules that do not fit a training's length, and what would."""

import copy
import re
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction

from mmdavpt.checks.config.schedule_check import (
    check_schedule,
    rates,
    schedule_notes,
)
from mmdavpt.errors import UsageError

SCHEDULES = Path(__file__).parents[3] / 'configs/_base_/schedules'
LR = 1e-3
WARM_UP = dict(type='LinearLR', start_factor=1e-3, end=10)
COSINE = dict(type='CosineAnnealingLR', begin=10, T_max=90, end=100)


def config(schedules, total=100, by_epoch=True):
    for one in schedules or ():
        one.setdefault('by_epoch', by_epoch)
    return dict(
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=LR)),
        param_scheduler=schedules,
        train_cfg={
            'by_epoch': by_epoch,
            'max_epochs' if by_epoch else 'max_iters': total,
        },
    )


def advised(cfg):
    """Return a config with the options of the sentence that refuses it."""
    with pytest.raises(UsageError) as error:
        check_schedule(cfg)
    cfg = Config(copy.deepcopy(cfg))
    options = str(error.value).partition('--cfg-options ')[2].split()
    pairs = [option.split('=') for option in options]
    cfg.merge_from_dict(
        {key: DictAction._parse_iterable(value) for key, value in pairs}
    )
    return cfg.to_dict()


@pytest.mark.parametrize('epoch_length', [1, 2, 10])
@pytest.mark.parametrize('total', [1, 2, 5, 10])
def test_the_advice_for_the_papers_schedule(total, epoch_length, monkeypatch):
    monkeypatch.setattr(
        'mmdavpt.checks.config.schedule_check.EPOCH_LENGTH', epoch_length
    )
    cfg = Config.fromfile(SCHEDULES / 'adamw_cosine_100e.py').to_dict()
    cfg['train_cfg']['max_epochs'] = total
    cfg = advised(cfg)
    check_schedule(cfg)
    found = list(rates(cfg, LR))
    assert len(found) == total * epoch_length
    assert max(found) == pytest.approx(LR, rel=0.03)
    if len(found) > 4:
        assert found[-1] < 0.2 * LR
    assert schedule_notes(cfg) == []


@pytest.mark.parametrize('total', [2, 5, 10])
@pytest.mark.parametrize('by_epoch', [True, False])
def test_the_advice_for_schedules_with_ends(total, by_epoch):
    cfg = advised(config([dict(WARM_UP), dict(COSINE)], total, by_epoch))
    main = cfg['param_scheduler'][1]
    assert main['end'] == total and main['T_max'] == total - main['begin']
    assert max(rates(cfg, LR)) == pytest.approx(LR)
    assert schedule_notes(cfg) == []


def test_the_advice_for_one_schedule():
    cfg = config([dict(COSINE)], 5)
    cfg['param_scheduler'] = cfg['param_scheduler'][0]
    sentence = (
        'param_scheduler (CosineAnnealingLR) begins after 10 epochs, but the '
        'training ends after 5; train longer, or fit the schedules by '
        '--cfg-options param_scheduler.begin=0 param_scheduler.T_max=5 '
        'param_scheduler.end=5'
    )
    with pytest.raises(UsageError, match=re.escape(sentence)):
        check_schedule(cfg)
    cfg['param_scheduler'] = dict(head=[dict(WARM_UP), dict(COSINE)])
    with pytest.raises(UsageError, match=r'param_scheduler.head.0.end=1 .*'):
        check_schedule(cfg)
    check_schedule(dict(train_cfg=None, param_scheduler=None))


def test_the_advice_for_other_schedules():
    step = dict(type='StepLR', step_size=1, begin=3)
    cfg = config([dict(WARM_UP, end=3), step, dict(COSINE)], 5)
    assert advised(cfg)['param_scheduler'] is None


@pytest.mark.parametrize(
    'schedules,total,sentence',
    [
        ([dict(WARM_UP)], 10, 'warms up for 10 epochs, .* ends after 10'),
        ([dict(WARM_UP, end=100)], 20, r'--cfg-options \S+\.0\.end=2$'),
        ([dict(type='LinearLR')], 3, 'warms up for 3 epochs'),
        (
            [dict(WARM_UP, end=1), dict(COSINE, begin=1, T_max=1, end=2)],
            2,
            'at 1.0e-06 or less in .*lr` is 1.0e-03; .* param_scheduler=None',
        ),
    ],
)
def test_small_rates_are_noted(schedules, total, sentence):
    (note,) = schedule_notes(config(schedules, total))
    assert re.search(sentence, note)


@pytest.mark.parametrize(
    'schedules',
    [
        None,
        [dict(WARM_UP), dict(COSINE)],
        [dict(type='LinearLR', start_factor=1.0, end_factor=0.01)],
        [dict(type='LinearLR', end_factor=0.5)],
        [dict(type='ReduceOnPlateauLR')],
        [dict(type='CosineAnnealingMomentum')],
        [dict(WARM_UP, by_epoch=False, end=99999)],
        [dict(type='OneCycleLR', eta_max=LR, total_steps=100)],
    ],
)
def test_what_raises_the_rate_is_not_worth_a_word(schedules):
    assert schedule_notes(config(schedules)) == []
