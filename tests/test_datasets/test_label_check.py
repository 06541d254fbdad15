"""Labels out of range are found, and named as in the file."""

import numpy as np
import pytest
from PIL import Image

from mmdavpt.datasets.label_check import (
    annotation_defect,
    class_label_defect,
    wide_value_defect,
)


@pytest.mark.parametrize('label', [0, 4, np.int64(4), [7, 9], None])
def test_valid_classes(label):
    assert class_label_defect(label, 5) is None
    assert class_label_defect(99, None) is None


@pytest.mark.parametrize('label', [-1, 5, np.int64(5)])
def test_classes_out_of_range(label):
    assert class_label_defect(label, 5) == (
        f'has the label {label}, but there are 5 classes, with labels from 0 '
        'to 4'
    )


@pytest.mark.parametrize('dtype', [np.uint8, np.int64])
def test_annotations(dtype):
    labels = np.array([[0, 4, 255], [3, 3, 3]], dtype)
    assert annotation_defect(labels, 5, 255) is None
    assert annotation_defect(labels, None, 255) is None
    assert annotation_defect(labels, 4, 255) == (
        'has the label 4, but there are 4 classes, with labels from 0 to 3, '
        'and 255 is ignored'
    )
    assert 'the label 4 (5 in the file: reduce_zero_label' in (
        annotation_defect(labels, 4, 255, reduce_zero_label=True)
    )
    assert 'the label 3 and 2 more such, but there are 3' in (
        annotation_defect(labels, 3, ignore_index=254)
    )
    assert annotation_defect(labels, 256, 254) is None


def test_annotations_of_other_shapes_and_types():
    assert 'one number per pixel, the class, but is loaded with' in (
        annotation_defect(np.zeros((2, 2, 3), np.uint8), 5, 255)
    )
    assert 'has the label -1, but' in (
        annotation_defect(np.full((2, 2), -1), 5, 255)
    )


def test_values_of_more_than_8_bits(tmp_path):
    path = str(tmp_path / 'a.png')
    for mode in ('L', 'P', '1', 'RGB'):
        Image.new(mode, (3, 2)).save(path)
        assert wide_value_defect(path) is None
    labels = np.array([[0, 255]], np.uint16)
    Image.fromarray(labels).save(path)
    assert wide_value_defect(path) is None
    Image.fromarray(labels + 1).save(path)
    assert wide_value_defect(path) == (
        'has the value 256, but labels are read as 8 bits, that is up to 255'
    )
