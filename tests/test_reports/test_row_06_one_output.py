"""A head with one class, or a softmax over one output, is rejected.

The loss was 0.0000 throughout, and the first evaluation ended in an
IndexError [mmseg #3753].
"""

import pytest

from . import runs

SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)
SOFTMAX = dict(type='CrossEntropyLoss')
DICE = dict(type='DiceLoss', use_sigmoid=False)
ONE = dict(out_channels=1, threshold=0.5)
MEANINGLESS = r'num_classes` is 1, so that all scores would be meaningless'
#: Which loss is always 0, or smaller for wrong labels.
ZERO = ' for wrong ones with out_channels=1; use another loss'


def said(cfg, expected):
    sentence = runs.sentence(cfg)
    if expected is None:
        assert sentence == ''
    else:
        assert expected in sentence


@pytest.mark.parametrize(
    'head, expected',
    [
        (dict(num_classes=1, loss_decode=SOFTMAX), MEANINGLESS),
        # IoUMetric would count all pixels as the only class.
        (dict(num_classes=1, loss_decode=SIGMOID), MEANINGLESS),
        (dict(loss_decode=SOFTMAX, **ONE), ZERO),
        (dict(loss_decode=[SIGMOID, DICE], **ONE), ZERO),
        (dict(loss_decode=SIGMOID, **ONE), None),
        (dict(loss_decode=SIGMOID), None),
        (dict(loss_decode=SOFTMAX), None),
    ],
)
@pytest.mark.parametrize('place', ['decode_head', 'auxiliary_head'])
def test_segmentation(place, head, expected, tmp_path):
    classes = 'ab'[: head.get('num_classes', 2)]
    cfg = runs.segmentation(tmp_path / 'masks', classes=classes)
    found = cfg['model'][place]
    (found[0] if place == 'auxiliary_head' else found).update(head)
    said(cfg, expected)


def test_head_of_borders_has_one_class(tmp_path):
    """STDC's learns borders from images, not the labels."""
    cfg = runs.segmentation(tmp_path / 'masks')
    cfg['model']['auxiliary_head'] = [
        dict(
            cfg['model']['auxiliary_head'][0],
            type='STDCHead',
            num_classes=1,
            boundary_threshold=0.1,
            loss_decode=SIGMOID,
        )
    ]
    for key in ('up_scale', 'num_convs', 'kernel_size'):
        cfg['model']['auxiliary_head'][0].pop(key)
    said(cfg, None)


@pytest.mark.parametrize(
    'head, expected',
    [
        (dict(type='LinearClsHead', loss=SOFTMAX), MEANINGLESS),
        # Its prediction is a softmax whatever the loss is.
        (dict(type='LinearClsHead', loss=SIGMOID), MEANINGLESS),
        (dict(type='MultiLabelLinearClsHead'), None),
    ],
)
def test_classification(head, expected, tmp_path):
    cfg = runs.classification(
        runs.photos(tmp_path / 'photos', names=['red']), names=['red']
    )
    cfg['model']['head'] = dict(head, num_classes=1, in_channels=32)
    said(cfg, expected)
