"""Which pixels a shape has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.dataset_converters.masks_conversion.regions import (
    decompress_runs,
    fill_bitmap,
    fill_ellipse,
    fill_polygons,
    fill_runs,
)

from .writers import compressed, png_base64, run_lengths

COORDINATES = st.floats(-6, 16) | st.integers(-12, 32).map(lambda n: n / 2)
POLYGONS = st.lists(
    st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=7),
    min_size=1,
    max_size=2,
)


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
    mask = fill_polygons([square], (6, 7))
    assert np.array_equal(mask[1:5, 1:5], np.ones((4, 4)))
    assert mask.sum() == 16


def test_a_triangle_by_hand():
    """The centers (0.5, 0.5) and so on are compared with x + y = 4."""
    triangle = np.array([[0, 0], [4, 0], [0, 4]], float)
    # Centres on the right edge are outside.
    expected = rows_of('###.', '##..', '#...', '....')
    assert np.array_equal(fill_polygons([triangle], (4, 4)), expected)


def test_a_polygon_that_crosses_itself_has_a_hole():
    points = [[0, 0], [5, 0], [5, 5], [0, 5], [0, 0]]
    hole = [[1, 1], [4, 1], [4, 4], [1, 4], [1, 1]]
    ring = np.array(points + hole, float)
    mask = fill_polygons([ring], (5, 5))
    assert mask.sum() == 25 - 9 and not mask[2, 2]


@given(POLYGONS)
def test_polygons_equal_the_definition(polygons):
    arrays = [np.array(polygon) for polygon in polygons]
    mask = fill_polygons(arrays, (9, 11))
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
    one = fill_polygons([above], size)
    two = fill_polygons([below], size)
    assert np.array_equal(one, ~two)


def test_a_polygon_of_any_size_takes_only_the_image():
    huge = np.array([[-9e5, -9e5], [9e5, -9e5], [9e5, 9e5], [-9e5, 9e5]])
    assert fill_polygons([huge], (3, 4)).all()
    outside = huge + (2e6, 0)
    assert not fill_polygons([outside], (3, 4)).any()


def test_a_circle_by_hand():
    mask = fill_ellipse((2.5, 2.5), (2, 2), 0, (5, 5))
    assert np.array_equal(
        mask, rows_of('..#..', '.###.', '#####', '.###.', '..#..')
    )


def test_an_ellipse_turns_clockwise():
    """Its long axis goes from the top left to the bottom right."""
    mask = fill_ellipse((4, 4), (4, 1), 45, (8, 8))
    assert mask[2, 2] and mask[5, 5]
    assert not mask[2, 5] and not mask[5, 2]
    assert not fill_ellipse((4, 4), (4, 0), 0, (8, 8)).any()


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_compressed_runs_come_back(pixels):
    """Runs of several characters, and differences below 0."""
    mask = np.kron(np.array(pixels).reshape(3, 4), np.ones((40, 50), bool))
    text = compressed(run_lengths(mask.T.ravel()))
    found = fill_runs(text, mask.shape, (0, 0), 'F', mask.shape)
    assert np.array_equal(found, mask)


def test_wrong_run_lengths_are_an_error():
    for counts, problem in [
        ([5, 5], '10 pixels'),
        ([-5, 30], 'at least 0'),
        ([12.5, 12.5], 'whole numbers'),
        ([], 'whole numbers'),
        ('', 'whole numbers'),
        ('~~', 'pixels|whole'),
        ('5U', 'pixels'),
        (None, 'whole numbers'),
    ]:
        with pytest.raises(ValueError, match=problem):
            fill_runs(counts, (5, 5), (0, 0), 'F', (5, 5))


def test_decompressing_follows_the_definition():
    """The second is what COCO's own tools write.

    '0' is 0 and '?' is 15; from the fourth on they are differences.
    """
    assert decompress_runs('0?51') == [0, 15, 5, 16]
    runs = [210, 10, 30, 10, 103, 1, 1636]
    assert decompress_runs('b6:n00Y2Gm_1') == runs


def test_masks_are_placed_at_their_corner():
    mask = np.array([[1, 0, 1], [0, 1, 1]], bool)
    found = fill_bitmap(png_base64(mask), (2, 1), (4, 5))
    expected = rows_of('.....', '.....', '.#.#.', '..##.')
    assert np.array_equal(found, expected)
    for corner in (3, 1), (2, 3), (-1, 0), (-3, 0), (0, -4):
        with pytest.raises(ValueError, match='out of the image'):
            fill_bitmap(png_base64(mask), corner, (4, 5))
