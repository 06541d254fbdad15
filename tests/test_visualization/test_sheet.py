"""Sheets of samples: colours, outlines, places of pictures and text."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mmdavpt.visualization import Sample, samples_figure
from mmdavpt.visualization.figures import ACCENT, PALE
from mmdavpt.visualization.samples import nearest, overlay

PALETTE = [[10, 20, 30], [200, 0, 0], [0, 200, 0]]
NAMES = ['paper', 'A', 'B']


def image(height=12, width=16, value=90):
    return np.full((height, width, 3), value, np.uint8)


def scene(guidance_label=None, size=(12, 16), **kwargs):
    annotation = np.zeros(size, np.int64)
    annotation[2:6, 3:8] = 1
    annotation[8:] = 2
    return Sample(
        image(*size),
        kwargs.pop('index', 0),
        'scene.jpg',
        annotation=annotation,
        guidance_label=guidance_label,
        **kwargs,
    )


def texts(figure):
    return [t.get_text() for t in figure.texts]


def test_overlay_by_hand():
    picture = overlay(
        np.full((1, 2, 3), [30, 60, 90], np.uint8),
        np.array([[1, 2]]),
        PALETTE,
        opacity=0.5,
    )
    # Grey 60 and the class's colour, half each.
    assert picture.tolist() == [[[130, 30, 30], [30, 130, 30]]]


def test_nearest_by_hand():
    small = np.array([[0, 1], [2, 3]])
    assert nearest(small, (2, 2)).tolist() == small.tolist()
    assert nearest(small, (4, 2)).tolist() == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert nearest(small, (1, 1)).tolist() == [[3]]
    assert nearest(np.array([[0, 1, 2]]), (2, 1)).tolist() == [[1], [1]]


def test_classes_of_images():
    samples = [
        Sample(image(), 3, 'a.jpg', label=1),
        Sample(image(), 5, label=2),
        Sample(image(), 7),
    ]
    figure = samples_figure(samples, NAMES, title='three')
    assert texts(figure)[0] == 'three'
    assert {'A', 'B', 'no label', '3: a.jpg  16×12'} <= set(texts(figure))
    assert len(figure.axes) == 3 and not figure.legends
    assert np.array_equal(figure.axes[0].images[0].get_array(), image())
    assert '1' in texts(samples_figure(samples))  # without names


def test_annotations_and_guidance():
    figure = samples_figure([scene(1), scene(-1), scene()], NAMES, PALETTE)
    assert len(figure.axes) == 6
    colours = {t.get_text(): t.get_color() for t in figure.texts}
    assert colours['guidance: A'] == ACCENT
    assert colours['no guidance'] == PALE
    outlined = [bool(ax.collections) for ax in figure.axes]
    assert outlined == [False, True, False, False, False, False]
    drawn = figure.axes[1].images[0].get_array()
    assert np.array_equal(drawn, overlay(image(), scene().annotation, PALETTE))
    # By area: 75 % less the A, 33 %, and the A.
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ['paper', 'B', 'A']


def test_outline_encloses_the_region_and_closes_at_the_border():
    figure = samples_figure([scene(2)], NAMES, PALETTE)
    axes = figure.axes[1]
    (path,) = axes.collections[0].get_paths()
    low, high = path.vertices.min(0), path.vertices.max(0)
    # Rows 8 to 11 of all 16 columns: half a pixel outside their centres.
    assert low.tolist() == [-0.5, 7.5] and high.tolist() == [15.5, 11.5]
    assert axes.get_xlim() == (-0.5, 15.5) and axes.get_ylim() == (11.5, -0.5)


def test_ignored_pixels_have_a_key():
    sample = scene(1)
    sample.annotation[:2] = 254
    figure = samples_figure([sample], NAMES, PALETTE, ignore_index=254)
    assert figure.legends[0].get_texts()[-1].get_text() == 'nothing (ignored)'


def test_annotation_of_another_size_is_laid_over_the_image():
    sample = scene(1)
    sample.image = image(24, 32)
    drawn = samples_figure([sample], NAMES, PALETTE).axes[1].images[0]
    assert drawn.get_array().shape == (24, 32, 3)


@pytest.mark.parametrize('number', [1, 2, 7, 24])
@pytest.mark.parametrize('size', [(48, 48), (30, 200), (200, 30)])
def test_nothing_is_cut_off(number, size):
    names = ['paper', 'a_class_with_quite_a_long_name_' * 3, '$B$']
    samples = [scene(i % 3, size, index=10**7 + i) for i in range(number)]
    for sample in samples:
        sample.name = 'a_file_with_quite_a_long_name_' * 3 + '.jpg'
    title = 'A title that is longer than a page for one tiny sample is wide'
    figure = samples_figure(samples, names, PALETTE, title=title)
    figure.set_dpi(120)  # as it is saved
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    page = figure.bbox
    parts = [t.get_window_extent(renderer) for t in figure.texts]
    parts += [ax.get_window_extent(renderer) for ax in figure.axes]
    parts += [figure.legends[0].get_window_extent(renderer)]
    for part in parts:
        assert part.x0 >= 0 and part.y0 >= 0
        assert part.x1 <= page.width and part.y1 <= page.height
    pictures = parts[len(figure.texts) : -1]
    for part in parts[: len(figure.texts)] + parts[-1:]:
        assert not any(part.overlaps(picture) for picture in pictures)
    for i, part in enumerate(pictures):
        assert not any(part.overlaps(p) for p in pictures[:i])


def test_mistakes():
    with pytest.raises(ValueError, match='at least one sample'):
        samples_figure([])
    with pytest.raises(ValueError, match='need a palette, but got None'):
        samples_figure([scene()], NAMES)
    with pytest.raises(ValueError, match='2 class names need .* got 3'):
        samples_figure([scene()], NAMES[:2], PALETTE)
    with pytest.raises(ValueError, match=r'\[0, 2\).* but got 2'):
        samples_figure([scene()], None, PALETTE[:2])
    with pytest.raises(ValueError, match=r'\[0, 3\).* but got 3'):
        samples_figure([Sample(image(), 0, label=3)], NAMES)
