"""Read the original downloads of FGVC."""

import shutil

import numpy as np
import pytest
from scipy.io import savemat

from mmdavpt.datasets.fgvc import SETS
from mmdavpt.errors import UsageError
from tools.dataset_converters.fgvc_conversion import ORIGINALS

from .originals import (
    TEST,
    TRAIN,
    WRITERS,
    write_cars_devkit,
    write_cars_in_one_file,
    write_dogs,
    write_lines,
)


def test_every_dataset_has_a_reader():
    assert set(ORIGINALS) == set(SETS)


@pytest.mark.parametrize('form', WRITERS)
def test_read_lists(tmp_path, form):
    written = WRITERS[form](tmp_path / 'set')
    original = ORIGINALS[form.split(',')[0]](str(tmp_path / 'set'))
    parts = [original.train, original.val, original.test]
    assert [part for part in parts if part is not None] == written
    assert (original.val is not None) == (form == 'flowers')
    assert sorted(original.train.values()) == sorted(TRAIN)
    assert sorted(original.test.values()) == sorted(TEST)
    images = tmp_path / 'set' / original.image_dir
    for part in written:
        assert all((images / path).is_file() for path in part)


@pytest.mark.parametrize(
    'form, names',
    [
        ('cub', {3: 'Sooty Albatross', 7: 'Parakeet Auklet'}),
        # Of the hierarchy, the nodes that have images.
        ('nabirds', {3: "Ross's Goose", 7: 'Snow Goose'}),
        ('flowers', {}),
        ('dogs', {3: 'Maltese dog', 7: 'papillon'}),
        ('cars', {i: f'Car {i} Sedan 2012' for i in range(1, 8)}),
        ('cars, one file', {i: f'Car {i} Sedan 2012' for i in range(1, 8)}),
    ],
)
def test_read_class_names(tmp_path, form, names):
    WRITERS[form](tmp_path / 'set')
    original = ORIGINALS[form.split(',')[0]](str(tmp_path / 'set'))
    assert original.class_names == names


def test_accept_other_folders(tmp_path):
    dogs = write_dogs(tmp_path / 'dogs', lists='lists', image_dir='images')
    original = ORIGINALS['dogs'](str(tmp_path / 'dogs'))
    assert [original.train, original.test] == dogs
    assert original.image_dir == 'images'
    cars = write_cars_devkit(tmp_path / 'cars', labelled='.')
    original = ORIGINALS['cars'](str(tmp_path / 'cars'))
    assert [original.train, original.test] == cars


def test_read_the_layout_of_cars_that_has_images(tmp_path):
    root = tmp_path / 'cars'
    devkit = write_cars_devkit(root)
    one_file = write_cars_in_one_file(root)
    assert ORIGINALS['cars'](str(root)).train == one_file[0]
    shutil.rmtree(root / 'car_ims')
    assert ORIGINALS['cars'](str(root)).train == devkit[0]
    shutil.rmtree(root / 'devkit')
    assert ORIGINALS['cars'](str(root)).train == one_file[0]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:200])


def unlabelled(path):
    savemat(path, dict(annotations=np.zeros((1, 2), [('fname', object)])))


@pytest.mark.parametrize(
    'form, file, spoil, sentence',
    [
        ('cub', 'images.txt', None, 'set has no images.txt; give the folder'),
        ('nabirds', 'classes.txt', None, 'set has no classes.txt'),
        (
            'cub',
            'images.txt',
            lambda path: write_lines(path, [(1, 'a.jpg'), (1, 'b.jpg')]),
            'has 1 such lines of 2',
        ),
        (
            'cub',
            'images.txt',
            lambda path: write_lines(path, [(1, 'a.jpg'), (2,)]),
            'has 1 such lines of 2',
        ),
        ('cub', 'images.txt', lambda path: path.write_text(''), '0 such'),
        (
            'cub',
            'images.txt',
            lambda path: path.write_bytes(b'1 \xff.jpg'),
            'images.txt cannot be read',
        ),
        (
            'cub',
            'image_class_labels.txt',
            lambda path: write_lines(path, [(1, 3)]),
            'image 2 of .* has the class None',
        ),
        (
            'cub',
            'train_test_split.txt',
            lambda path: write_lines(path, [(1, 2)]),
            'image 1 of .* the training flag 2',
        ),
        (
            'nabirds',
            'classes.txt',
            lambda path: write_lines(path, [(3, 'Goose'), ('x', 'Duck')]),
            'has the class 7 and',
        ),
        (
            'nabirds',
            'classes.txt',
            lambda path: write_lines(path, [(3, 'a'), (7, 'b'), ('x', 'c')]),
            "has the class id 'x'",
        ),
        ('flowers', 'setid.mat', None, 'set has no setid.mat'),
        (
            'flowers',
            'setid.mat',
            cut_short,
            'as a MATLAB file .*again',
        ),
        (
            'flowers',
            'setid.mat',
            lambda path: savemat(path, dict(trnid=[1])),
            r"have valid and tstid, but has \['trnid'\]",
        ),
        (
            'flowers',
            'setid.mat',
            lambda path: savemat(path, dict(trnid=[99], valid=[1], tstid=[2])),
            'images beyond the 15',
        ),
        (
            'flowers',
            'imagelabels.mat',
            lambda path: savemat(path, dict(labels=['a', 'b'])),
            'should have integers from 0',
        ),
        ('dogs', 'test_list.mat', None, 'test_list.mat or lists/test_list'),
        (
            'dogs',
            'train_list.mat',
            lambda path: savemat(
                path, dict(file_list=['a', 'b', 'c'], labels=[1, 2])
            ),
            '3 different images of 3, and 2 classes',
        ),
        (
            'dogs',
            'train_list.mat',
            lambda path: savemat(
                path, dict(file_list=['a', 'a'], labels=[1, 2])
            ),
            '1 different images of 2',
        ),
        ('cars', 'devkit/cars_meta.mat', None, 'no devkit/cars_meta.mat'),
        (
            'cars',
            'devkit/cars_test_annos_withlabels.mat',
            None,
            'or cars_test_annos_withlabels.mat; give',
        ),
        (
            'cars',
            'devkit/cars_test_annos_withlabels.mat',
            unlabelled,
            'lack class',
        ),
        ('cars, one file', 'cars_annos.mat', unlabelled, 'have class_names'),
    ],
)
def test_report_malformed_downloads(tmp_path, form, file, spoil, sentence):
    WRITERS[form](tmp_path / 'set')
    path = tmp_path / 'set' / file
    if spoil is None:
        path.unlink()
    else:
        spoil(path)
    with pytest.raises(UsageError, match=sentence) as caught:
        ORIGINALS[form.split(',')[0]](str(tmp_path / 'set'))
    assert '\n' not in str(caught.value)
