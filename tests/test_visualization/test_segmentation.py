"""Segmentations in colours, with images and ground truth."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tools.visualization.segmentation import (
    colour_segmentation,
    draw_predictions,
    predictions_figure,
)

PALETTE = [[10, 20, 30], [200, 0, 0], [0, 200, 0]]
NAMES = ('paper', 'A', 'B')
GREY, WHITE = [150, 150, 150], [255, 255, 255]


def samples(number, size=(12, 16)):
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        for _ in range(number)
    ]
    truths = [rng.integers(0, 2, size).astype(np.uint8) for _ in images]
    for truth in truths:
        truth[0] = 255
    return images, truths, [np.where(t == 255, 0, t) for t in truths]


def test_colours_by_hand():
    picture = colour_segmentation(
        np.array([[0, 1, 255], [2, 255, 255]], np.uint8), PALETTE
    )
    # Ignored pixels are white where row + column is a multiple of 4.
    assert picture.tolist() == [
        [PALETTE[0], PALETTE[1], GREY],
        [PALETTE[2], GREY, GREY],
    ]
    assert picture.dtype == np.uint8


def test_ignored_pixels_are_hatched():
    picture = colour_segmentation(np.full((8, 8), 7), PALETTE, ignore_index=7)
    for row in range(8):
        for column in range(8):
            expected = WHITE if (row + column) % 4 == 0 else GREY
            assert picture[row, column].tolist() == expected


def test_colours_equal_a_loop():
    segmentation = np.random.default_rng(0).integers(0, 3, (9, 5))
    expected = [[PALETTE[k] for k in row] for row in segmentation]
    assert colour_segmentation(segmentation, PALETTE).tolist() == expected


@pytest.mark.parametrize(
    'segmentation, sentence',
    [
        (np.array([[0, 3, 4]]), r'\[0, 3\).* but got \[3, 4\]'),
        (np.array([[-1, 0]]), r'but got \[-1\]'),
        (np.zeros((1, 2, 3)), r'\(H, W\), but got \(1, 2, 3\)'),
    ],
)
def test_bad_segmentations_are_rejected(segmentation, sentence):
    with pytest.raises(ValueError, match=sentence):
        colour_segmentation(segmentation, PALETTE)


@pytest.mark.parametrize(
    'number, rows, columns', [(1, 3, 1), (6, 3, 6), (8, 6, 4), (7, 6, 4)]
)
def test_each_sample_has_three_pictures(number, rows, columns):
    images, truths, predictions = samples(number)
    predictions[-1][3] = 2
    figure = predictions_figure(images, truths, predictions, NAMES, PALETTE)
    axes = figure.axes
    assert len(axes) == rows * columns
    shown = [ax.images[0].get_array() for ax in axes if ax.images]
    assert len(shown) == 3 * number
    last = axes[(rows - 1) * columns + (number - 1) % columns]
    assert np.array_equal(
        last.images[0].get_array(),
        colour_segmentation(predictions[-1], PALETTE),
    )
    assert np.array_equal(axes[0].images[0].get_array(), images[0])
    words = [t.get_text() for ax in axes for t in ax.texts]
    assert words == ['image', 'ground truth', 'prediction'] * (rows // 3)


def test_legend_names_the_classes_that_occur():
    images, truths, predictions = samples(2)
    figure = predictions_figure(images, truths, predictions, NAMES, PALETTE)
    legend = figure.legends[0]
    words = [t.get_text() for t in legend.get_texts()]
    assert words == ['paper', 'A', 'ignored']
    colour = legend.get_patches()[1].get_facecolor()[:3]
    assert np.allclose(np.array(colour) * 255, PALETTE[1])
    predictions[1][5, 5] = 2
    for truth in truths:
        truth[0] = 0
    figure = predictions_figure(images, truths, predictions, NAMES, PALETTE)
    words = [t.get_text() for t in figure.legends[0].get_texts()]
    assert words == ['paper', 'A', 'B']
    figure = predictions_figure(
        images, truths, predictions, NAMES, PALETTE, ignore_index=2
    )
    words = [t.get_text() for t in figure.legends[0].get_texts()]
    assert words == ['paper', 'A', 'ignored']


def test_picture_is_saved_without_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    path = tmp_path / 'new' / 'predictions.png'
    draw_predictions(*samples(3), NAMES, PALETTE, str(path))
    pixels = np.asarray(Image.open(path).convert('RGB'))
    assert min(pixels.shape[:2]) > 200
    found = {tuple(p) for p in pixels.reshape(-1, 3).tolist()}
    assert {tuple(PALETTE[0]), tuple(PALETTE[1])} <= found
    assert tuple(PALETTE[2]) not in found
    assert tuple(round(255 * v) for v in to_rgb('white')) in found


def test_bad_lists_are_rejected():
    images, truths, predictions = samples(2)
    with pytest.raises(ValueError, match='zip'):
        predictions_figure(images, truths, predictions[:1], NAMES, PALETTE)
    with pytest.raises(ValueError, match='should not be empty'):
        predictions_figure([], [], [], NAMES, PALETTE)
    with pytest.raises(ValueError, match='2 class names and 3'):
        predictions_figure(images, truths, predictions, NAMES[:2], PALETTE)
