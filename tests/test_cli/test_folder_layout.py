"""Layouts of folders: splits, classes, labels, and what is wrong."""

import random

import numpy as np
import pytest
from PIL import Image

from mmdavpt.cli.folder_layout import find_task, read_layout, split_by_class
from mmdavpt.errors import UsageError


def write_images(root, paths):
    """Write an image of 4x4 pixels to each path."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (4, 4)).save(root / path)


def write_scenes(
    root, number, images='images', labels='labels', values=(0, 1)
):
    """Write images, and masks in which two values take turns."""
    for k in range(number):
        write_images(root, [f'{images}/{k}.jpg'])
        mask = np.full((4, 4), values[0], np.uint8)
        mask[0, 0] = values[k % (len(values) - 1) + 1]
        (root / labels).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / labels / f'{k}.png')


def names(*folders, count=5):
    return [f'{folder}/{k}.jpg' for folder in folders for k in range(count)]


def test_folders_of_classes_are_split(tmp_path):
    write_images(tmp_path, [*names('b', 'a'), 'a/more/x.PNG'])
    write_images(tmp_path, ['a/.hidden/y.png'])
    (tmp_path / 'a/notes.txt').touch()
    assert find_task(str(tmp_path)) == 'classification'
    layout = read_layout(str(tmp_path), 'classification')
    assert layout.settings == dict(classes=['a', 'b'])
    assert layout.images == dict(train=9, val=2)
    assert [*layout.lists] == ['train.txt', 'val.txt']
    assert layout.data['val'] == layout.data['test']
    listed = [line for lines in layout.lists.values() for line in lines]
    assert sorted(listed) == sorted([*names('b', 'a'), 'a/more/x.PNG'])
    assert {line[0] for line in layout.lists['val.txt']} == {'a', 'b'}
    assert read_layout(str(tmp_path), 'classification') == layout
    other = read_layout(str(tmp_path), 'classification', seed=1)
    assert other.lists != layout.lists


@pytest.mark.parametrize(
    'folders, images, has_lists',
    [
        (('train', 'val', 'test'), dict(train=4, val=4, test=4), False),
        (('training', 'valid'), dict(train=4, val=4), False),
        (('Train', 'Testing'), dict(train=2, val=2, test=4), True),
    ],
)
def test_folders_of_splits(tmp_path, folders, images, has_lists):
    for folder in folders:
        write_images(tmp_path / folder, names('a', 'b', count=2))
    layout = read_layout(str(tmp_path), 'classification')
    assert layout.images == images
    assert bool(layout.lists) == has_lists
    assert layout.data['train']['data_prefix'] == folders[0]
    tested = folders[-1] if 'test' in images else layout.data['val']
    assert layout.data['test'] in (tested, dict(data_prefix=tested))


def test_a_single_image_trains(tmp_path):
    write_images(tmp_path, [*names('a', 'b'), 'c/0.jpg'])
    layout = read_layout(str(tmp_path), 'classification')
    assert 'c/0.jpg' in layout.lists['train.txt']


@pytest.mark.parametrize(
    'paths, sentence',
    [
        ([], 'should have images in a folder for each class, but has'),
        (['0.jpg', '1.jpg'], 'in no folder of a class: 0.jpg, 1.jpg'),
        (['a/0.jpg'], "one folder with images, 'a'"),
        (['a/b/0.jpg', 'a/c/0.jpg'], 'or train on .*/a$'),
        (['a/0.jpg', 'b/0.jpg'], 'one image of each class'),
        (['val/a/0.jpg', 'val/b/0.jpg'], 'no folder train'),
        (
            ['train/a/0.jpg', 'train/b/0.jpg', 'val/c/0.jpg'],
            "'c' of .*val.* none of the 2 classes",
        ),
        (['train/a/0.jpg', 'training/a/0.jpg'], 'train and training'),
    ],
)
def test_what_is_no_classification(tmp_path, paths, sentence):
    write_images(tmp_path, paths)
    with pytest.raises(UsageError, match=sentence):
        read_layout(str(tmp_path), 'classification')


@pytest.mark.parametrize('folder', ['images', 'train/imgs'])
def test_folder_of_images_without_labels(tmp_path, folder):
    write_images(tmp_path, [f'{folder}/0.jpg', f'{folder}/../gt/0.png'])
    with pytest.raises(UsageError, match='but none named labels'):
        find_task(str(tmp_path))


def test_folders_without_classes(tmp_path, capsys):
    """Images to predict, and hidden files, are not part of the data."""
    write_images(tmp_path, [*names('train/a', 'train/b'), 'test/0.jpg'])
    write_images(tmp_path, ['train/.git/0.jpg', '.git/0.jpg'])
    layout = read_layout(str(tmp_path), 'classification')
    assert layout.settings == dict(classes=['a', 'b'])
    assert layout.images == dict(train=8, val=2)
    assert 'has test, which the training ignores' in capsys.readouterr().err


@pytest.mark.parametrize(
    'splits, pair, unused',
    [
        (['train', 'eval'], '', ['eval']),
        (['', 'test'], 'images labels', ['test']),
        (['train', 'train/depth'], 'images labels', ['train/depth']),
        (['train', 'val'], 'images labels', []),
    ],
)
def test_unused_folders_are_named(tmp_path, capsys, splits, pair, unused):
    for split in splits:
        if pair and 'depth' not in split and split != 'test':
            kinds = [f'{split}/{kind}'.lstrip('/') for kind in pair.split()]
            write_scenes(tmp_path, 6, *kinds)
        else:
            write_images(tmp_path / split, names('a', 'b'))
    read_layout(str(tmp_path), 'segmentation' if pair else 'classification')
    err = capsys.readouterr().err
    named = f'has {", ".join(unused)}, which the training ignores'
    assert (named in err) if unused else not err


@pytest.mark.parametrize(
    'form, prefix',
    [
        ('{kind}', None),
        ('{split}/{kind}', ('train/JPEGImages', 'train/masks')),
        ('{kind}/{split}', ('JPEGImages/train', 'masks/train')),
    ],
)
def test_layouts_of_labels(tmp_path, form, prefix):
    for split, number in (('train', 6), ('val', 2)):
        kinds = [
            form.format(kind=kind, split=split)
            for kind in ('JPEGImages', 'masks')
        ]
        write_scenes(tmp_path, number, *kinds, values=(0, 1, 2))
    assert find_task(str(tmp_path)) == 'segmentation'
    layout = read_layout(str(tmp_path), 'segmentation')
    assert layout.settings['classes'] == ['class_0', 'class_1', 'class_2']
    assert layout.data['test'] == layout.data['val']
    found = layout.data['train']['data_prefix']
    if prefix is None:
        assert found == dict(img_path='JPEGImages', seg_map_path='masks')
        assert layout.images == dict(train=4, val=2)
        assert all(line.endswith('.jpg') for line in layout.lists['val.txt'])
    else:
        assert found == dict(img_path=prefix[0], seg_map_path=prefix[1])
        assert layout.images == dict(train=6, val=2)
        assert not layout.lists


def test_what_is_no_segmentation(tmp_path):
    write_images(tmp_path, names('a'))
    with pytest.raises(UsageError, match='the folders images and labels.*a'):
        read_layout(str(tmp_path), 'segmentation')
    write_scenes(tmp_path, 3)
    (tmp_path / 'labels/1.png').unlink()
    with pytest.raises(UsageError, match='1 of 3 images have no mask'):
        read_layout(str(tmp_path), 'segmentation')


def test_masks_with_a_suffix_and_values_that_are_not_classes(tmp_path):
    write_scenes(tmp_path, 11, values=(0, 255))
    for mask in (tmp_path / 'labels').iterdir():
        mask.rename(mask.with_stem(f'{mask.stem}_mask'))
    layout = read_layout(str(tmp_path), 'segmentation')
    assert layout.data['train']['seg_map_suffix'] == '_mask'
    assert layout.images == dict(train=9, val=2)
    assert layout.settings['value_map'] == {0: 0, 255: 1}


@pytest.mark.parametrize('seed', range(20))
def test_every_class_trains_and_is_validated_if_possible(seed):
    rng = random.Random(seed)
    classes = {
        f'{k}.jpg': rng.sample('abcdefgh', rng.randrange(4)) for k in range(30)
    }
    train, val = split_by_class(classes, seed)
    assert sorted([*train, *val]) == sorted(classes)
    assert [i for i in classes if i in train] == train
    assert 2 <= len(val) <= 12
    in_train = {each for image in train for each in classes[image]}
    assert in_train == {each for found in classes.values() for each in found}


def test_split_is_a_fifth_of_each_class():
    sizes = dict(a=1, b=2, c=50)
    classes = {f'{c}{k}': [c] for c, n in sizes.items() for k in range(n)}
    train, val = split_by_class(classes)
    count = {c: sum(image[0] == c for image in val) for c in sizes}
    assert count == dict(a=0, b=1, c=10)
    assert not {*train} & {*val}
