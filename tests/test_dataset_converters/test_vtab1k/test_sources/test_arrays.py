import os
import sys

import numpy as np
import pytest
from scipy.io import savemat

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES

from . import archives


def test_svhn_labels(tmp_path):
    archives.svhn(str(tmp_path))
    splits = SOURCES['svhn'](str(tmp_path))
    assert {
        split: [(e.key, e.label) for e in examples]
        for split, examples in splits.items()
    } == {'train': [(0, 1), (1, 0), (2, 9)], 'test': [(0, 0), (1, 2)]}
    images = archives.pixels(3, 32, 32, 3, 3)
    for index, example in enumerate(splits['train']):
        assert np.array_equal(example.read(), images[..., index])


def test_report_other_shape_of_svhn(tmp_path):
    path = f'{tmp_path}/train_32x32.mat'
    savemat(path, {'X': np.zeros((32, 32, 3, 2)), 'y': np.ones((3, 1))})
    with pytest.raises(UsageError, match=r'\(32, 32, 3, 3\), but its shape'):
        SOURCES['svhn'](str(tmp_path))
    archives.write(path, '<html>not found</html>')
    with pytest.raises(UsageError, match='cannot be read as a MATLAB file'):
        SOURCES['svhn'](str(tmp_path))


def test_patch_camelyon(tmp_path):
    pytest.importorskip('h5py')
    archives.patch_camelyon(str(tmp_path))
    splits = SOURCES['patch_camelyon'](str(tmp_path))
    assert [e[:2] for e in splits['validation']] == [
        ('valid_0', 0),
        ('valid_1', 1),
    ]
    assert len(splits['train']) == 4 and len(splits['test']) == 3
    image = splits['train'][2].read()
    assert np.array_equal(image, archives.pixels(4, 4, 96, 96, 3)[2])


def test_report_malformed_patch_camelyon(tmp_path):
    pytest.importorskip('h5py')
    archives.patch_camelyon(str(tmp_path))
    stem = f'{tmp_path}/camelyonpatch_level_2_split_'
    os.replace(f'{stem}test_y.h5', f'{stem}train_y.h5')
    with pytest.raises(UsageError, match=r'\(3, 96, 96, 3\), but its shape'):
        SOURCES['patch_camelyon'](str(tmp_path))
    archives.write(f'{stem}train_y.h5', b'still packed')
    with pytest.raises(UsageError, match='train_y.h5 cannot be read'):
        SOURCES['patch_camelyon'](str(tmp_path))


def test_patch_camelyon_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(UsageError, match='PatchCamelyon needs h5py; run'):
        SOURCES['patch_camelyon'](str(tmp_path))
