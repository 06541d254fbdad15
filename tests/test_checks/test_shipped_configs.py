"""Configs of MMSegmentation and MMPretrain pass the preflight."""

import pytest

from benchmarks.library_configs import (
    CANNOT_BUILD,
    PASSES,
    check,
    shipped_configs,
)

CONFIGS = shipped_configs()


@pytest.mark.parametrize(
    'name',
    [
        'segmenter_vit-b_mask_8xb1-160k_ade20k-512x512',  # heads w/o classes
        'setr_vit-l_pup_8xb2-160k_ade20k-512x512',
        'beit-base_upernet_8xb2-160k_ade20k-640x640',  # decay by layers
        'bisenetv2_fcn_4xb4-ohem-160k_cityscapes-1024x1024',  # an unused name
        'stdc1_4xb12-80k_cityscapes-512x1024',  # a head with other labels
        'vit-base-p16_8xb64-lora_in1k-384px',
        'vit-base-p16_32xb128-mae_in1k',  # repeated augmentation, EMA
        'resnet50_8xb256-rsb-a1-600e_in1k',  # mixed images, sigmoid
        'levit-128s_8xb256_in1k',  # needs the values of its weights
        'mae_vit-base-p16_8xb512-amp-coslr-300e_in1k',  # without a validation
    ],
)
def test_a_shipped_config_passes(name):
    path = next(path for path in CONFIGS if path.stem == name)
    assert check(path) == (PASSES, '')


def test_a_config_that_its_library_cannot_build():
    """It needs compiled operators."""
    name = 'ccnet_r50-d8_4xb4-80k_ade20k-512x512'
    path = next(path for path in CONFIGS if path.stem == name)
    outcome, reason = check(path)
    assert outcome == CANNOT_BUILD
    assert 'CrissCrossAttention' in reason
