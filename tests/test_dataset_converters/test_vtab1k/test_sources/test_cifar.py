import os
import pickle

import numpy as np
import pytest

from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES

from . import archives


@pytest.mark.parametrize(
    'write', [archives.cifar_binary, archives.cifar_python]
)
def test_read_both_formats_of_cifar(write, tmp_path):
    write(str(tmp_path))
    splits = SOURCES['cifar'](str(tmp_path))
    for split, examples in splits.items():
        batch = archives.cifar_batch(split)
        assert [e.key for e in examples] == list(range(len(batch['data'])))
        assert [e.label for e in examples] == batch['fine_labels']
        # Planes of red, green and blue, each row by row.
        image = np.asarray(examples[1].read())
        data = batch['data'][1]
        assert image[0, 1].tolist() == data[[1, 1025, 2049]].tolist()
        assert image[31, 0].tolist() == data[[992, 2016, 3040]].tolist()
    assert {split: len(e) for split, e in splits.items()} == {
        'train': 5,
        'test': 3,
    }


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickle_executes_nothing(tmp_path):
    trace = str(tmp_path / 'trace')
    content = dict(fine_labels=[1], data=Harmful(trace))
    path = f'{tmp_path}/cifar-100-python/train'
    archives.write(path, pickle.dumps(content))
    with pytest.raises(UsageError, match='names posix.mkdir, which no array'):
        SOURCES['cifar'](str(tmp_path))
    assert not os.path.exists(trace)
    pickle.loads(pickle.dumps(content))
    assert os.path.exists(trace)


@pytest.mark.parametrize(
    'content, problem',
    [
        (b'', 'cannot be read'),
        (b'<html>', 'cannot be read'),
        (archives.python2_pickle([1, 2]), 'cannot be read'),
        (archives.python2_pickle(dict(labels=[1])), 'cannot be read'),
        (
            archives.python2_pickle(
                dict(fine_labels=[1, 2], data=archives.pixels(0, 1, 3072))
            ),
            r'each of its 2 labels, but its data has shape \(1, 3072\)',
        ),
    ],
)
def test_report_damaged_pickle(content, problem, tmp_path):
    archives.write(f'{tmp_path}/train', content)
    with pytest.raises(UsageError, match=problem):
        SOURCES['cifar'](str(tmp_path))


def test_report_truncated_binary(tmp_path):
    archives.write(f'{tmp_path}/cifar-100-binary/train.bin', bytes(3073))
    with pytest.raises(UsageError, match='of 3074 bytes, but it has 3073'):
        SOURCES['cifar'](str(tmp_path))
