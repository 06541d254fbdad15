"""Which pixels a shape has."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tools.dataset_converters.masks_conversion.regions import (
    check_runs,
    decompress_runs,
    draw_lines,
    fill_bitmap,
    fill_ellipse,
    fill_polygons,
    fill_runs,
)

from .writers import png_base64

COORDINATES = st.floats(-6, 16) | st.integers(-12, 32).map(lambda n: n / 2)
POLYGONS = st.lists(
    st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=7),
    min_size=1,
    max_size=2,
)


def on_image(part, height, width):
    rows, columns, mask = part
    image = np.zeros((height, width), bool)
    image[rows, columns] = mask
    return image


def rows_of(*rows):
    return np.array([[c == '#' for c in row] for row in rows])


def is_inside(point, polygon):
    """Count the edges to the left of a point; None if it is on one."""
    x, y = point
    crossings = 0
    ends = [*polygon[1:], polygon[0]]
    for (x1, y1), (x2, y2) in zip(polygon, ends, strict=True):
        if (y1 <= y) != (y2 <= y):
            crossing = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
            if abs(crossing - x) < 1e-6:
                return None
            crossings += crossing < x
    return crossings % 2 == 1


def test_a_square_has_the_pixels_within_its_edges():
    square = np.array([[1, 1], [5, 1], [5, 5], [1, 5]], float)
    mask = on_image(fill_polygons([square], 6, 7), 6, 7)
    assert np.array_equal(mask[1:5, 1:5], np.ones((4, 4)))
    assert mask.sum() == 16


def test_a_triangle_by_hand():
    """The centers (0.5, 0.5) and so on are compared with x + y = 4."""
    triangle = np.array([[0, 0], [4, 0], [0, 4]], float)
    # Centres on the right edge are outside.
    expected = rows_of('###.', '##..', '#...', '....')
    assert np.array_equal(
        on_image(fill_polygons([triangle], 4, 4), 4, 4), expected
    )


def test_a_polygon_that_crosses_itself_has_a_hole():
    points = [[0, 0], [5, 0], [5, 5], [0, 5], [0, 0]]
    hole = [[1, 1], [4, 1], [4, 4], [1, 4], [1, 1]]
    ring = np.array(points + hole, float)
    mask = on_image(fill_polygons([ring], 5, 5), 5, 5)
    assert mask.sum() == 25 - 9 and not mask[2, 2]


@given(POLYGONS)
def test_polygons_equal_the_definition(polygons):
    arrays = [np.array(polygon) for polygon in polygons]
    mask = on_image(fill_polygons(arrays, 9, 11), 9, 11)
    for (row, column), found in np.ndenumerate(mask):
        center = column + 0.5, row + 0.5
        inside = [is_inside(center, polygon) for polygon in polygons]
        assert None in inside or found == any(inside)


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=2, max_size=5))
def test_polygons_with_a_common_edge_share_the_pixels(edge):
    """A path from the left to the right splits a box without a gap."""
    path = [(-6.0, 4.0), *edge, (17.0, 4.0)]
    above = np.array([*path, (17.0, -9.0), (-6.0, -9.0)])
    below = np.array([*path[::-1], (-6.0, 33.0), (17.0, 33.0)])
    size = 9, 11
    one = on_image(fill_polygons([above], *size), *size)
    two = on_image(fill_polygons([below], *size), *size)
    assert np.array_equal(one, ~two)


@pytest.mark.parametrize('seed', range(20))
def test_polygons_equal_pycocotools_except_at_the_edge(seed):
    """pycocotools rounds to a fifth of a pixel."""
    rng = np.random.default_rng(seed)
    polygon = rng.uniform(0, 40, (6, 2))
    runs = coco_mask.frPyObjects([polygon.ravel().tolist()], 40, 40)
    expected = coco_mask.decode(coco_mask.merge(runs)).astype(bool)
    mask = on_image(fill_polygons([polygon], 40, 40), 40, 40)
    for row, column in np.argwhere(mask != expected):
        center = np.array([column, row]) + 0.5
        starts, ends = polygon, np.roll(polygon, -1, 0)
        along = ((center - starts) * (ends - starts)).sum(1)
        along = along / ((ends - starts) ** 2).sum(1)
        nearest = starts + along.clip(0, 1)[:, None] * (ends - starts)
        assert np.linalg.norm(nearest - center, axis=1).min() < 0.3


@pytest.mark.parametrize('seed', range(5))
def test_contours_come_back_except_for_boundary_pixels(seed):
    rng = np.random.default_rng(seed)
    noise = rng.random((30, 40)).astype(np.float32)
    blobs = (cv2.GaussianBlur(noise, (9, 9), 0) > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(
        blobs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled = cv2.drawContours(np.zeros_like(blobs), contours, -1, 1, -1)
    # Contours pass through the centers of boundary pixels.
    polygons = [c[:, 0] + 0.5 for c in contours if len(c) > 2]
    mask = on_image(fill_polygons(polygons, 30, 40), 30, 40)
    inner = cv2.erode(
        filled, np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT, borderValue=0
    ).astype(bool)
    assert filled.any() and (mask <= filled.astype(bool)).all()
    assert (mask >= inner).all()


def test_a_polygon_of_any_size_takes_only_the_image():
    huge = np.array([[-9e5, -9e5], [9e5, -9e5], [9e5, 9e5], [-9e5, 9e5]])
    assert on_image(fill_polygons([huge], 3, 4), 3, 4).all()
    beside = huge + (2e6, 0)
    assert not on_image(fill_polygons([beside], 3, 4), 3, 4).any()


def test_a_circle_by_hand():
    mask = on_image(fill_ellipse((2.5, 2.5), (2, 2), 0, 5, 5), 5, 5)
    assert np.array_equal(
        mask, rows_of('..#..', '.###.', '#####', '.###.', '..#..')
    )


def test_an_ellipse_turns_clockwise():
    """Its long axis goes from the top left to the bottom right."""
    mask = on_image(fill_ellipse((4, 4), (4, 1), 45, 8, 8), 8, 8)
    assert mask[2, 2] and mask[5, 5]
    assert not mask[2, 5] and not mask[5, 2]
    assert not fill_ellipse((4, 4), (4, 0), 0, 8, 8)[2].any()


def test_lines_and_points_by_hand():
    line = np.array([[0.5, 1.5], [3.5, 1.5]])
    mask = on_image(draw_lines([line], 1, 4, 6), 4, 6)
    assert np.array_equal(
        mask, rows_of('......', '####..', '......', '......')
    )
    point = np.array([[2.5, 1.5]])
    mask = on_image(draw_lines([point], 2, 4, 6), 4, 6)
    assert np.array_equal(
        mask, rows_of('..#...', '.###..', '..#...', '......')
    )


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_compressed_runs_equal_pycocotools(pixels):
    mask = np.array(pixels, dtype=np.uint8).reshape(3, 4)
    big = np.asfortranarray(np.kron(mask, np.ones((40, 50), np.uint8)))
    text = coco_mask.encode(big)['counts'].decode()
    counts = check_runs(text, big.shape)
    part = fill_runs(counts, big.shape, (0, 0), 'F', *big.shape)
    assert np.array_equal(on_image(part, *big.shape), big)


@pytest.mark.parametrize(
    'counts, problem',
    [
        ([5, 5], '10 pixels, but the mask has 5 x 5'),
        ([20, 10], '30 pixels'),
        ([-5, 30], 'at least 0'),
        ([12.5, 12.5], 'whole numbers'),
        ([], 'whole numbers'),
        ('', 'end early'),
        ('zzzz', 'no part of run lengths'),
        ('5U', 'end early'),
        ('55', '10 pixels'),
        (None, 'whole numbers'),
    ],
)
def test_wrong_run_lengths_are_an_error(counts, problem):
    """pycocotools fills what is missing with random pixels."""
    with pytest.raises(ValueError, match=problem):
        check_runs(counts, (5, 5))


def test_decompressing_follows_the_definition():
    """'0' is 0 and '?' is 15; from the fourth on they are differences."""
    assert decompress_runs('0?51') == [0, 15, 5, 16]


@pytest.mark.parametrize('corner', [(1, 2), (-1, -2), (4, 3), (-9, 0), (7, 9)])
def test_masks_are_cropped_to_the_image(corner):
    mask = np.random.default_rng(0).random((3, 4)) > 0.4
    expected = np.zeros((5, 6), bool)
    for (row, column), inside in np.ndenumerate(mask):
        y, x = row + corner[1], column + corner[0]
        if 0 <= y < 5 and 0 <= x < 6:
            expected[y, x] = inside
    part = fill_bitmap(png_base64(mask), corner, 5, 6)
    assert np.array_equal(on_image(part, 5, 6), expected)
