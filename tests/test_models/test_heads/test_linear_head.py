"""The linear head against its formula, and in a training."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmdavpt.models.heads import LinearSegHead
from tests import toy

BN = dict(type='BN')


def test_it_is_a_norm_and_a_linear_map():
    head = LinearSegHead(6, num_classes=3, norm_cfg=BN).double()
    torch.nn.init.normal_(head.conv_seg.weight)
    torch.nn.init.normal_(head.norm.weight)
    x = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    out = head([x])
    mean = x.mean((0, 2, 3), keepdim=True)
    var = x.var((0, 2, 3), unbiased=False, keepdim=True)
    normed = (x - mean) / (var + 1e-5).sqrt()
    normed = normed * head.norm.weight.view(1, -1, 1, 1)
    weight = head.conv_seg.weight.flatten(1)
    expected = torch.einsum('kc,bchw->bkhw', weight, normed)
    expected = expected + head.conv_seg.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize(
    'options, channels',
    [
        (dict(in_channels=768), 768),
        (
            dict(
                in_channels=[768] * 4,
                in_index=[0, 1, 2, 3],
                input_transform='resize_concat',
            ),
            3072,
        ),
    ],
)
def test_parameter_counts(options, channels):
    head = LinearSegHead(num_classes=150, **options)
    count = sum(p.numel() for p in head.parameters())
    assert count == 2 * channels + channels * 150 + 150


def test_it_trains(tmp_path):
    head = dict(
        type='mmdavpt.LinearSegHead',
        in_channels=[32, 32],
        in_index=[0, 1],
        input_transform='resize_concat',
        num_classes=27,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )
    cfg = toy.segmentation(
        tmp_path,
        {'model.decode_head': head, 'model.auxiliary_head': None},
    )
    cfg['runner_type'] = 'mmdavpt.DAVPTRunner'
    runner = RUNNERS.build(Config(cfg))
    before = runner.model.decode_head.conv_seg.weight.clone()
    runner.train()
    assert not torch.equal(runner.model.decode_head.conv_seg.weight, before)
