"""What a pipeline packs becomes the picture that the model sees."""

import numpy as np
import pytest
import torch

from mmdavpt.errors import UsageError
from mmdavpt.visualization.inputs import (
    Encoding,
    encoding_of,
    flips_channels,
    model_picture,
)

PIXEL = torch.tensor([10, 100, 250], dtype=torch.uint8)[:, None, None]


def pixel(inputs, encoding=Encoding(), flips=False):  # noqa: B008
    return model_picture(inputs, encoding, flips)[0, 0].tolist()


def test_channels_are_drawn_in_the_model_s_order():
    assert pixel(PIXEL) == [10, 100, 250]
    assert pixel(PIXEL, flips=True) == [250, 100, 10]
    picture = model_picture(torch.zeros(3, 4, 6), Encoding(), False)
    assert picture.shape == (4, 6, 3) and picture.dtype == np.uint8


def test_normalisation_of_the_pipeline_is_undone():
    mean, std = (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)
    column = [torch.tensor(v)[:, None, None] for v in (mean, std)]
    given = (PIXEL - column[0]) / column[1]
    assert pixel(given, Encoding(mean, std)) == [10, 100, 250]
    # The mean's order is that of the packed channels.
    assert pixel(given, Encoding(mean, std), flips=True) == [250, 100, 10]
    assert pixel(PIXEL / 255, Encoding(scale=255.0)) == [10, 100, 250]


def test_values_outside_are_clipped_and_grey_has_three_channels():
    given = torch.tensor([-3.0, 300.0, 99.6])[:, None, None]
    assert pixel(given) == [0, 255, 100]
    assert pixel(torch.full((1, 2, 2), 7), flips=True) == [7, 7, 7]
    with pytest.raises(UsageError, match=r'packs \(2, 4, 4\)'):
        model_picture(torch.zeros(2, 4, 4), Encoding(), False)


def test_encoding_is_found_wherever_it_is():
    normalize = dict(type='mmcv.Normalize', mean=[1, 2, 3], std=[4, 5, 6])
    assert encoding_of(dict(pipeline=[dict(type='PackInputs')])) == Encoding()
    nested = dict(type='RandomApply', transforms=[normalize])
    dataset = dict(type='KFoldDataset', dataset=dict(pipeline=[nested]))
    assert encoding_of(dataset) == Encoding((1, 2, 3), (4, 5, 6))
    torchvision = [
        dict(type='torchvision/ToTensor'),
        dict(type='torchvision/Normalize', mean=[0.5], std=[0.5]),
    ]
    assert encoding_of(dict(pipeline=torchvision)) == Encoding(
        (0.5,), (0.5,), 255.0
    )
    with pytest.raises(UsageError, match='should normalise alike'):
        encoding_of(dict(pipeline=[normalize, *torchvision]))


def test_the_model_s_own_preprocessor_counts_first():
    assert not flips_channels(dict(model=dict()))
    assert flips_channels(dict(model=dict(), data_preprocessor=dict(to_rgb=1)))
    own = dict(data_preprocessor=dict(bgr_to_rgb=True))
    assert flips_channels(dict(model=own))
    assert not flips_channels(
        dict(
            model=dict(data_preprocessor=dict(mean=[0])),
            data_preprocessor=dict(to_rgb=True),
        )
    )
