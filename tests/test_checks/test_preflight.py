"""Missing files are named before anything heavy starts."""

import pytest

from mmdavpt.checks.preflight import (
    check_checkpoint_exists,
    check_config_exists,
    check_pretrained,
)
from mmdavpt.errors import UsageError


def test_config_with_similar_names(tmp_path):
    for name in ('davpt_birds.py', 'unrelated.py'):
        (tmp_path / name).touch()
    check_config_exists(str(tmp_path / 'davpt_birds.py'))
    with pytest.raises(UsageError, match='similar ones are .*davpt_birds.py'):
        check_config_exists(str(tmp_path / 'davpt_bird.py'))
    # From any folder the package's own configs are proposed too.
    with pytest.raises(UsageError, match='setr_davpt_ade20k.py'):
        check_config_exists(str(tmp_path / 'setr_davpt_ade20.py'))


def test_config_without_similar_names(tmp_path):
    with pytest.raises(UsageError, match='the configs are in .*configs$'):
        check_config_exists(str(tmp_path / 'qqqqqqqqqqqqqqqqqqqq'))


def test_checkpoint(tmp_path):
    path = tmp_path / 'epoch_3.pth'
    path.touch()
    check_checkpoint_exists(str(path), 'the checkpoint')
    check_checkpoint_exists('https://example.org/x.pth', 'the checkpoint')
    with pytest.raises(
        UsageError, match='the checkpoint .* its folder has epoch_3.pth'
    ):
        check_checkpoint_exists(
            str(tmp_path / 'epoch_4.pth'), 'the checkpoint'
        )
    with pytest.raises(UsageError, match='nowhere has no checkpoint'):
        check_checkpoint_exists(
            str(tmp_path / 'nowhere/x.pth'), 'the checkpoint'
        )


def test_pretrained_weights(tmp_path):
    weights = tmp_path / 'vit.pth'
    init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    model = dict(backbone=dict(init_cfg=[dict(type='Kaiming'), init_cfg]))
    with pytest.raises(
        UsageError,
        match='docs/weights.md says what can be loaded.*'
        '--cfg-options model.backbone.init_cfg.1.checkpoint=FILE',
    ):
        check_pretrained(model)
    weights.touch()
    check_pretrained(model)
    init_cfg['checkpoint'] = 'torchvision://resnet50'
    check_pretrained(model)
