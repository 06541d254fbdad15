"""Prepared datasets of TensorFlow Datasets, read without TensorFlow."""

import json
import os
import pickle

import pytest

from mmdavpt.datasets.vtab1k import TASKS
from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.splits import RULES
from tools.dataset_converters.vtab1k_conversion.tfds import (
    PREPARED,
    prepared_splits,
)

from .tfrecords import labelled, png, prepare


def read(task, root):
    return prepared_splits(TASKS[task], str(root))


def cifar(root, files=1):
    splits = dict(train=labelled(5), test=labelled(2, 5))
    return prepare(root, 'cifar100', splits, files)


def test_every_task_has_a_prepared_dataset():
    assert set(PREPARED) == set(TASKS)


@pytest.mark.parametrize('files', [1, 2, 3])
def test_order_of_files(tmp_path, files):
    name, splits = read('cifar', cifar(tmp_path, files))
    assert name == 'cifar100:3.0.2'
    assert list(splits) == ['train', 'test']
    assert [e.label for e in splits['train']] == [0, 1, 2, 3, 4]
    assert [e.label for e in splits['test']] == [5, 6]
    examples = pickle.loads(pickle.dumps(splits['train']))
    pixels = [example.read().getpixel((1, 1)) for example in examples]
    assert pixels == [(i, 10, 20) for i in range(5)]
    assert len({example.key for example in splits['train']}) == 5


def test_read_only_needed_splits(tmp_path):
    splits = dict(train=labelled(3), test=labelled(2))
    root = prepare(tmp_path, 'svhn_cropped', dict(**splits, extra=[]))
    assert set(read('svhn', root)[1]) == {'train', 'test'}
    for task in TASKS:
        assert set(RULES[task].sources) <= {'train', 'validation', 'test'}


@pytest.mark.parametrize(
    'task, features, label',
    [
        # Types 0 to 2 are vehicles; the third coordinate is the distance.
        (
            'kitti',
            dict(
                objects__type=[3, 0, 2],
                objects__location=[0.0, 0.0, 2.0, 0.0, 0.0, 30.0]
                + [50.0, 50.0, 8.5],
            ),
            1,
        ),
        ('kitti', dict(objects__type=[], objects__location=[]), 3),
        ('clevr_count', dict(objects__size=[0, 1, 1, 0, 0]), 2),
        (
            'clevr_dist',
            dict(objects__pixel_coords=[9.0, 9.0, 9.6, 1.0, 1.0, 9.25]),
            3,
        ),
        ('dsprites_loc', dict(label_x_position=[31]), 15),
        ('dsprites_ori', dict(label_orientation=[7]), 2),
        ('dsprites_ori', dict(label_orientation=[8]), 3),
        ('smallnorb_azi', dict(label_azimuth=[17]), 17),
        ('smallnorb_ele', dict(label_elevation=[8]), 8),
    ],
)
def test_labels_from_other_features(tmp_path, task, features, label):
    example = dict(image=[png(1, 'L')], **features)
    splits = {split: [example] for split in RULES[task].sources}
    root = prepare(tmp_path, PREPARED[task].name, splits)
    _, found = read(task, root)
    assert [e.label for e in found['train']] == [label]
    scale = 255 if task.startswith('dsprites') else 1
    assert found['train'][0].read().getpixel((0, 0)) == (scale,) * 3


def test_configuration_is_part_of_the_name(tmp_path):
    splits = dict(train=labelled(2))
    root = prepare(tmp_path / 'a', 'eurosat', splits, configName='rgb')
    assert read('eurosat', root)[0] == 'eurosat/rgb:3.0.2'
    # Older versions name it by the folder alone.
    older = prepare(tmp_path / 'rgb/2.0.0', 'eurosat', splits)
    assert read('eurosat', older)[0] == 'eurosat/rgb:3.0.2'
    other = prepare(tmp_path / 'b', 'eurosat', splits, configName='all')
    with pytest.raises(UsageError, match='holds eurosat/all; .*eurosat/rgb'):
        read('eurosat', other)


def test_report_other_folders(tmp_path):
    with pytest.raises(UsageError, match='holds no dataset_info.json'):
        read('cifar', tmp_path)
    root = prepare(tmp_path, 'mnist', dict(train=labelled(2)))
    with pytest.raises(UsageError, match='hold cifar100, but it holds mnist'):
        read('cifar', root)
    with open(f'{root}/dataset_info.json', 'w') as file:
        file.write('[]')
    with pytest.raises(UsageError, match='dataset_info.json cannot be read'):
        read('cifar', root)
    with open(f'{root}/dataset_info.json', 'w') as file:
        json.dump(
            dict(name='cifar100', version='1', fileFormat='array_record'), file
        )
    with pytest.raises(UsageError, match='holds array_record'):
        read('cifar', root)


def test_report_missing_files(tmp_path):
    root = cifar(tmp_path, 2)
    os.remove(f'{root}/cifar100-train.tfrecord-00001-of-00002')
    with pytest.raises(UsageError, match='hold 2 files .*it holds 1'):
        read('cifar', root)
    os.remove(f'{root}/cifar100-train.tfrecord-00000-of-00002')
    with pytest.raises(UsageError, match='cifar100-train.tfrecord-00000'):
        read('cifar', root)


def test_reject_damaged_files(tmp_path):
    root = cifar(tmp_path)
    path = f'{root}/cifar100-train.tfrecord-00000-of-00001'
    with open(path, 'r+b') as file:
        file.seek(60)
        file.write(b'\xff\xff')
    with pytest.raises(UsageError, match='train.*damaged.*prepare'):
        read('cifar', root)
    with open(path, 'r+b') as file:
        file.truncate(100)
    with pytest.raises(UsageError, match='cannot be read.*tfds build'):
        read('cifar', root)
    root = prepare(tmp_path / 'b', 'cifar100', dict(train=[dict(x=[1])]))
    with pytest.raises(UsageError, match=r"cannot be read \(KeyError\('image"):
        read('cifar', root)
