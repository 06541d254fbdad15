"""tools/dataset_converters/vtab1k.py on tiny downloads."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmdavpt.datasets import VTAB1k
from mmdavpt.datasets.vtab1k import TASKS
from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.class_names import (
    FIXED,
    FROM_KEY,
    class_names,
    prepared_class_names,
)
from tools.dataset_converters.vtab1k_conversion.conversion import convert
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES
from tools.dataset_converters.vtab1k_conversion.splits import hash_of

from .test_sources import archives
from .tfrecords import labelled, prepare

ROOT = Path(__file__).parents[3]


def tool():
    path = ROOT / 'tools' / 'dataset_converters' / 'vtab1k.py'
    spec = importlib.util.spec_from_file_location('vtab1k_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def download(task, root):
    root.mkdir(exist_ok=True)
    archives.WRITERS[task][0](str(root))
    return str(root)


def read(root, task, split):
    return VTAB1k(task, split, str(root), check_size=False)


def test_cifar_from_download_to_reader(tmp_path):
    folder = download('cifar', tmp_path / 'in')
    convert('cifar100', folder, str(tmp_path / 'out'), check_size=False)
    batch = archives.cifar_batch('train')
    order = sorted(range(5), key=lambda i: hash_of('train', i))
    assert order != list(range(5))
    for split, places in (('train800', order[:4]), ('val200', order[4:])):
        dataset = read(tmp_path / 'out', 'cifar', split)
        assert len(dataset) == len(places)
        for i, place in enumerate(places):
            info = dataset.get_data_info(i)
            assert info['gt_label'] == batch['fine_labels'][place]
            pixels = batch['data'][place].reshape(3, 32, 32)
            image = np.asarray(Image.open(info['img_path']))
            assert np.array_equal(image.transpose(2, 0, 1), pixels)
    classes = dataset.metainfo['classes']
    assert (classes[0], classes[99]) == ('apple', 'worm')
    manifest = json.loads((tmp_path / 'out/cifar/vtab1k.json').read_text())
    assert manifest['split_rule']['val200'] == 'train[4:5]'
    assert 'not proven to be the images of another' in manifest['images']


def test_dsprites_from_download_to_reader(tmp_path):
    folder = download('dsprites_loc', tmp_path / 'in')
    for task in ('dsprites_loc', 'dsprites_ori'):
        convert(task, folder, str(tmp_path / 'out'), check_size=False)
    images, classes = archives.dsprites_arrays()
    order = sorted(range(40), key=lambda i: hash_of('train', i))
    location = read(tmp_path / 'out', 'dspr_loc', 'test')
    orientation = read(tmp_path / 'out', 'dspr_ori', 'test')
    assert len(location) == len(orientation) == 4
    for i, place in enumerate(order[36:]):
        info = location.get_data_info(i)
        assert info['gt_label'] == classes[place, 4] // 2
        label = orientation.get_data_info(i)['gt_label']
        assert label == int(classes[place, 3] / 2.5)
        image = np.asarray(Image.open(info['img_path']))
        assert np.array_equal(image, np.stack([images[place] * 255] * 3, -1))


@pytest.mark.parametrize('task', archives.WRITERS)
def test_class_names_are_unique(tmp_path, task):
    if task == 'patch_camelyon':
        pytest.importorskip('h5py')
    splits = SOURCES[task](download(task, tmp_path))
    names = class_names(TASKS[task], splits)
    # Of the 37 classes of pets the tiny download has four.
    if task != 'oxford_iiit_pet' and (task in FROM_KEY or task in FIXED):
        assert len(set(names)) == len(names) == TASKS[task].num_classes
    else:
        assert names is None


@pytest.mark.parametrize(
    'task, names',
    [
        ('caltech101', ('accordion', 'BACKGROUND_Google', 'Faces')),
        ('eurosat', ('AnnualCrop', 'Forest', 'HerbaceousVegetation')),
        ('resisc45', ('airplane', 'airport', 'railway', 'railway_station')),
        ('sun397', ('abbey', 'church/outdoor')),
    ],
)
def test_class_names_from_files(tmp_path, task, names):
    splits = SOURCES[task](download(task, tmp_path))
    assert tuple(class_names(TASKS[task], splits)[: len(names)]) == names


def test_class_names_of_pets():
    assert FROM_KEY['oxford_iiit_pet']('Egyptian_Mau_14.jpg') == 'Egyptian_Mau'


def test_no_names_if_a_class_has_no_image(tmp_path):
    splits = SOURCES['eurosat'](download('eurosat', tmp_path))
    kept = [e for e in splits['train'] if e.label != 3]
    assert class_names(TASKS['eurosat'], dict(train=kept)) is None


def test_class_names_of_prepared_datasets(tmp_path):
    task = TASKS['eurosat']
    assert prepared_class_names(task, str(tmp_path)) is None
    path = tmp_path / 'label.labels.txt'
    path.write_text('\n'.join('abcdefghij') + '\n')
    assert prepared_class_names(task, str(tmp_path)) == list('abcdefghij')
    path.write_text('a\nb\n')
    assert prepared_class_names(task, str(tmp_path)) is None
    names = prepared_class_names(TASKS['svhn'], str(tmp_path))
    assert names == list('0123456789')


def test_write_prepared_dataset_in_its_order(tmp_path):
    splits = dict(train=labelled(10), test=labelled(3, 50))
    folder = prepare(tmp_path / 'in', 'cifar100', splits, 2)
    tool().main(
        ['cifar', folder, '--from', 'tfds', '--no-check-size']
        + ['--out', str(tmp_path)]
    )
    train = read(tmp_path, 'cifar', 'train800val200')
    assert list(train.get_gt_labels()) == list(range(10))
    test = read(tmp_path, 'cifar', 'test')
    assert list(test.get_gt_labels()) == [50, 51, 52]
    image = Image.open(test.get_data_info(1)['img_path'])
    assert image.getpixel((0, 0)) == (51, 10, 20)
    manifest = json.loads((tmp_path / 'cifar/vtab1k.json').read_text())
    assert manifest['source'] == 'TensorFlow Datasets: cifar100:3.0.2'


def test_check_sizes_and_labels_before_writing(tmp_path):
    folder = download('cifar', tmp_path / 'in')
    with pytest.raises(UsageError, match='train800 .* should have 800'):
        convert('cifar', folder, str(tmp_path / 'out'))
    splits = dict(train=labelled(10), test=[])
    splits['train'][3]['label'] = [100]
    folder = prepare(tmp_path / 'tfds', 'cifar100', splits)
    with pytest.raises(UsageError, match='from 0 to 99, but one is 100'):
        convert('cifar', folder, str(tmp_path / 'out'), 'tfds', False)
    assert not (tmp_path / 'out').exists()


def test_command_writes_and_verifies(tmp_path, capsys):
    folder, out = download('dtd', tmp_path / 'in'), str(tmp_path / 'out')
    options = ['--no-check-size', '--workers', '1']
    tool().main(['dtd', folder, '--out', out, *options])
    said = capsys.readouterr().out
    assert 'test: 47 images written' in said
    assert "task='dtd'" in said and 'check_size=False' in said
    tool().main(['--verify', out, *options])
    assert 'no defects' in capsys.readouterr().out
    path = tmp_path / 'out/dtd/images/test/000005.png'
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SystemExit) as stop:
        tool().main(['--verify', out, *options])
    assert stop.value.code == 1
    said = capsys.readouterr().out
    assert ': 1 defect\n' in said and f'{path} cannot be decoded' in said


def test_command_lists_downloads(capsys):
    tool().main(['--list'])
    said = capsys.readouterr().out
    assert all(f'{task}: ' in said for task in TASKS)
    assert 'https://www.cs.toronto.edu/~kriz/cifar.html' in said


@pytest.mark.parametrize(
    'arguments',
    [
        [],
        ['cifar'],
        ['cifar', 'in', '--list'],
        ['--list', '--verify', 'out'],
        ['cifar', '--verify', 'out'],
        ['cifar', 'in', '--workers', '-1'],
    ],
)
def test_reject_contradicting_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        tool().parse_args(arguments)
    assert stop.value.code == 2
    assert 'error:' in capsys.readouterr().err
