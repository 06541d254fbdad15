"""dSprites and smallNORB, whose labels are factors of variation."""

import numpy as np
import pytest

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES

from . import archives


def test_dsprites_bins(tmp_path):
    archives.dsprites(str(tmp_path))
    splits = SOURCES['dsprites_ori'](str(tmp_path))
    assert list(splits) == ['train']
    assert [e.key for e in splits['train']] == list(range(40))
    # 40 orientations in 16 bins of 2.5: three and two of them by turns.
    assert [e.label for e in splits['train']][:10] == [
        *(0, 0, 0),
        *(1, 1),
        *(2, 2, 2),
        *(3, 3),
    ]
    assert splits['train'][39].label == 15
    places = [e.label for e in SOURCES['dsprites_loc'](str(tmp_path))['train']]
    classes = archives.dsprites_arrays()[1]
    assert places == [c // 2 for c in classes[:, 4].tolist()]
    assert set(places) == set(range(16))


def test_dsprites_are_white_on_black(tmp_path):
    archives.dsprites(str(tmp_path))
    examples = SOURCES['dsprites_loc'](str(tmp_path))['train']
    for index in (0, 39):
        expected = archives.dsprites_arrays()[0][index] * 255
        for channel in examples[index].read().split():
            assert np.array_equal(channel, expected)


def test_read_dsprites_in_chunks(tmp_path):
    images = archives.pixels(1, 2500, 64, 64) % 2
    np.savez_compressed(
        f'{tmp_path}/{archives.DSPRITES}',
        imgs=images,
        latents_classes=np.zeros((2500, 6), int),
    )
    examples = SOURCES['dsprites_loc'](str(tmp_path))['train']
    assert len(examples) == 2500
    image = np.asarray(examples[2400].read())[:, :, 0]
    assert np.array_equal(image, images[2400] * 255)


def test_report_damaged_dsprites(tmp_path):
    archives.dsprites(str(tmp_path))
    path = tmp_path / archives.DSPRITES
    complete = path.read_bytes()
    for content in (
        complete[:-100],
        b'<html>',
        complete[:500] + complete[600:],
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match='npz cannot be read'):
            SOURCES['dsprites_loc'](str(tmp_path))
    np.savez(path, imgs=np.zeros((2, 64, 64), np.uint8), latents_classes=[[0]])
    with pytest.raises(UsageError, match='npz cannot be read'):
        SOURCES['dsprites_loc'](str(tmp_path))
    factors = np.zeros((3, 6), int)
    images = np.zeros((2, 64, 64), np.uint8)
    np.savez(path, imgs=images, latents_classes=factors)
    with pytest.raises(UsageError, match='its 3 factors, but it holds 2'):
        SOURCES['dsprites_loc'](str(tmp_path))


def test_smallnorb(tmp_path):
    archives.smallnorb(str(tmp_path))
    azimuths = SOURCES['smallnorb_azi'](str(tmp_path))
    elevations = SOURCES['smallnorb_ele'](str(tmp_path))
    assert [e[:2] for e in azimuths['train']] == [(0, 17), (1, 16), (2, 15)]
    assert [e[:2] for e in elevations['train']] == [(0, 8), (1, 7), (2, 6)]
    assert len(azimuths['test']) == 2
    images = archives.pixels(3, 3, 2, 96, 96)
    for index, example in enumerate(azimuths['train']):
        for channel in example.read().split():
            assert np.array_equal(channel, images[index, 0])


def test_report_damaged_smallnorb(tmp_path):
    archives.smallnorb(str(tmp_path))
    stem = f'{tmp_path}/smallnorb-5x46789x9x18x6x2x96x96-training'
    info = np.zeros((2, 4), '<i4')
    archives.write(f'{stem}-info.mat', archives.norb_matrix(info))
    with pytest.raises(UsageError, match='factors of 3 pairs, but it has 2'):
        SOURCES['smallnorb_azi'](str(tmp_path))
    archives.write(f'{stem}-info.mat', archives.norb_matrix(info)[:-4])
    with pytest.raises(UsageError, match='hold 52 bytes, but it has 48'):
        SOURCES['smallnorb_azi'](str(tmp_path))
    archives.write(f'{stem}-dat.mat', b'\x1f\x8b still packed')
    with pytest.raises(UsageError, match='dat.mat should hold rows of shape'):
        SOURCES['smallnorb_azi'](str(tmp_path))
