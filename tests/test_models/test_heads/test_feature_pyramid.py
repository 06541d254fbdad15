"""The pyramid of feature maps on grids with even and odd sides."""

import pytest
import torch
from mmseg.models.necks import Feature2Pyramid

from mmdavpt.models import FeaturePyramid
from mmdavpt.models.heads.feature_pyramid import HalfResolution

BN = dict(type='BN')


def maxima(x):
    """Pool as documented: cell i covers rows i h/m to (i + 1) h/m."""
    rows, columns = ([*bins(side)] for side in x.shape[2:])
    return torch.stack(
        [
            torch.stack([x[..., r, :][..., c].amax((2, 3)) for c in columns])
            for r in rows
        ]
    ).permute(2, 3, 0, 1)


def bins(side):
    cells = -(-side // 2)
    for i in range(cells):
        yield slice(i * side // cells, -(-(i + 1) * side // cells))


def test_half_resolution_of_three_rows_by_hand():
    x = torch.tensor([[3.0, 1.0], [0.0, 2.0], [5.0, 4.0]])[None, None]
    assert HalfResolution()(x).tolist() == [[[[3.0], [5.0]]]]


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (5, 4), (37, 37), (37, 25)])
def test_half_resolution_covers_the_grid(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    out = HalfResolution()(x)
    assert out.shape[2:] == tuple(-(-side // 2) for side in size)
    assert torch.equal(out, maxima(x))
    # Each cell lies where a head that resizes the map puts it.
    for side in size:
        for i, cell in enumerate(bins(side)):
            center = (i + 0.5) * side / -(-side // 2)
            assert cell.start < center < cell.stop
            assert abs((cell.start + cell.stop) / 2 - center) <= 0.5


@pytest.mark.parametrize('size', [(4, 4), (2, 6), (32, 32)])
def test_even_grids_are_pooled_as_by_mmsegmentation(size):
    torch.manual_seed(0)
    own, parent = FeaturePyramid(8, BN), Feature2Pyramid(8, norm_cfg=BN)
    assert own.state_dict().keys() == parent.state_dict().keys()
    parent.load_state_dict(own.state_dict())
    inputs = [torch.randn(2, 8, *size) for _ in range(4)]
    for ours, theirs in zip(own(inputs), parent(inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_norm_of_a_pyramid():
    norms = [dict(type='GN', num_groups=2), None]
    for norm, kind in zip(norms, ('GroupNorm', 'SyncBatchNorm'), strict=True):
        modules = FeaturePyramid(8, norm).modules()
        assert [type(m).__name__ for m in modules].count(kind) == 1


def test_odd_grids_keep_their_last_row_and_column():
    inputs = [torch.zeros(1, 8, 5, 5) for _ in range(4)]
    inputs[3][..., 4, 4] = 1
    assert FeaturePyramid(8, BN)(inputs)[3].sum() == 8
    assert Feature2Pyramid(8, norm_cfg=BN)(inputs)[3].sum() == 0


@pytest.mark.parametrize('rows, columns', [(3, 5), (1, 4), (6, 2)])
def test_maps_of_a_pyramid(rows, columns):
    inputs = [torch.randn(2, 8, rows, columns) for _ in range(4)]
    maps = FeaturePyramid(8, BN)(inputs)
    assert torch.equal(maps[2], inputs[2])
    assert torch.equal(maps[3], maxima(inputs[3]))
    assert [tuple(x.shape) for x in maps] == [
        (2, 8, 4 * rows, 4 * columns),
        (2, 8, 2 * rows, 2 * columns),
        (2, 8, rows, columns),
        (2, 8, -(-rows // 2), -(-columns // 2)),
    ]
