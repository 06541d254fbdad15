"""Order and split rules of VTAB-1k: published orders, sizes, disjointness."""

import hashlib
from collections import Counter

import pytest

from mmdavpt.datasets.vtab1k import TASKS
from mmdavpt.errors import UsageError
from tools.dataset_converters.vtab1k_conversion.sources import SOURCES
from tools.dataset_converters.vtab1k_conversion.sources.example import Example
from tools.dataset_converters.vtab1k_conversion.splits import (
    RULES,
    check_sizes,
    describe_splits,
    hash_of,
    in_hash_order,
    vtab1k_splits,
)

#: The numbers of examples of each split of TensorFlow Datasets, from its
#: catalogue.
PUBLISHED = {
    'cifar': dict(train=50000, test=10000),
    'caltech101': dict(train=3060, test=6084),
    'dtd': dict(train=1880, validation=1880, test=1880),
    'oxford_flowers102': dict(train=1020, validation=1020, test=6149),
    'oxford_iiit_pet': dict(train=3680, test=3669),
    'svhn': dict(train=73257, test=26032, extra=531131),
    'sun397': dict(train=76128, validation=10875, test=21750),
    'patch_camelyon': dict(train=262144, validation=32768, test=32768),
    'eurosat': dict(train=27000),
    'resisc45': dict(train=31500),
    'diabetic_retinopathy': dict(train=35126, validation=10906, test=42670),
    'clevr_count': dict(train=70000, validation=15000, test=15000),
    'clevr_dist': dict(train=70000, validation=15000, test=15000),
    'dmlab': dict(train=65550, validation=22628, test=22735),
    'kitti': dict(train=6347, validation=423, test=711),
    'dsprites_loc': dict(train=737280),
    'dsprites_ori': dict(train=737280),
    'smallnorb_azi': dict(train=24300, test=24300),
    'smallnorb_ele': dict(train=24300, test=24300),
}


def numbered(**sizes):
    """Return splits whose images are told apart by (split, place)."""
    return {
        split: [Example((split, i), 0, str) for i in range(size)]
        for split, size in sizes.items()
    }


def keys(examples):
    return [example.key for example in examples]


def test_every_task_has_a_rule_and_a_source():
    assert set(RULES) == set(SOURCES) == set(TASKS) == set(PUBLISHED)


def test_hash_of_split_and_key():
    # printf 'train7' | md5sum
    assert hash_of('train', 7).hex() == 'ce0d5cb43939fa5439258881e37940d5'
    assert hash_of('train', '7') == hash_of('train', 7)
    assert hash_of('test', 7) != hash_of('train', 7)
    assert hash_of('train', 'a\\b') == hash_of('train', 'a/b')


def test_order_equals_published_tutorials():
    # The first 16 training images of CIFAR-10 (with CIFAR-100's keys, which
    # are places in the file), as printed in public tutorials.
    shown = [16399, 1680, 47917, 17307, 27051, 48736, 26263, 1456]
    shown += [19135, 31598, 12970, 4223, 27152, 49635, 4093, 17537]
    examples = [Example(i, 0, str) for i in range(50000)]
    assert keys(in_hash_order('train', examples)[:16]) == shown


def test_order_is_independent_of_the_input():
    examples = [Example(key, 0, str) for key in ('b', 'a', 'c', 'd')]
    digests = {
        k: int(hashlib.md5(f'test{k}'.encode()).hexdigest(), 16)
        for k in 'abcd'
    }
    expected = sorted('abcd', key=digests.get)
    assert expected != list('abcd')
    assert keys(in_hash_order('test', examples)) == expected
    assert keys(in_hash_order('test', examples[::-1])) == expected


def test_report_duplicate_keys():
    examples = [Example(key, 0, str) for key in ('a', 'b', 'a')]
    with pytest.raises(UsageError, match="train.*two have the key 'a'"):
        in_hash_order('train', examples)


@pytest.mark.parametrize('name', TASKS)
def test_split_sizes_of_each_task(name):
    places = RULES[name].places(PUBLISHED[name])
    sizes = {
        split: sum(len(at) for _, at in parts)
        for split, parts in places.items()
    }
    assert sizes == TASKS[name].sizes


@pytest.mark.parametrize('name', TASKS)
def test_training_and_test_images_are_disjoint(name):
    places = RULES[name].places(PUBLISHED[name])
    images = {
        split: {(source, i) for source, at in parts for i in at}
        for split, parts in places.items()
    }
    assert not images['train800'] & images['val200']
    assert images['train800val200'] == images['train800'] | images['val200']
    assert not images['train800val200'] & images['test']
    for source, size in PUBLISHED[name].items():
        used = [
            i for split in images.values() for s, i in split if s == source
        ]
        assert not used or max(used) < size


@pytest.mark.parametrize(
    'name, expected',
    [
        ('cifar', ('train[0:800]', 'train[45000:45200]', 'test[0:10000]')),
        ('oxford_iiit_pet', ('train[0:800]', 'train[2944:3144]', None)),
        ('dtd', ('train[0:800]', 'validation[0:200]', 'test[0:1880]')),
        ('clevr_dist', (None, 'train[63000:63200]', 'validation[0:15000]')),
        # 90 % of 73,257, rounded down.
        ('svhn', (None, 'train[65931:66131]', 'test[0:26032]')),
        ('eurosat', (None, 'train[16200:16400]', 'train[21600:27000]')),
        (
            'dsprites_loc',
            (None, 'train[589824:590024]', 'train[663552:737280]'),
        ),
        (
            'smallnorb_ele',
            ('train[0:800]', 'test[0:200]', 'test[12150:24300]'),
        ),
    ],
)
def test_describe_splits(name, expected):
    words = describe_splits(TASKS[name], PUBLISHED[name])
    train, val, test = (words[s] for s in ('train800', 'val200', 'test'))
    for said, wanted in zip((train, val, test), expected, strict=True):
        assert wanted in (None, said)
    assert words['train800val200'] == f'{train}+{val}'


def test_take_the_first_images_of_each_part():
    splits = vtab1k_splits(TASKS['cifar'], numbered(train=3000, test=5))
    assert keys(splits['train800']) == [('train', i) for i in range(800)]
    val = [('train', i) for i in range(2700, 2900)]
    assert keys(splits['val200']) == val
    assert splits['train800val200'] == splits['train800'] + splits['val200']
    assert keys(splits['test']) == [('test', i) for i in range(5)]


def test_small_datasets():
    splits = vtab1k_splits(TASKS['eurosat'], numbered(train=50))
    assert Counter({s: len(e) for s, e in splits.items()}) == dict(
        train800=30, val200=10, train800val200=40, test=10
    )
    with pytest.raises(UsageError, match='train800 .* 800 images.* are 30'):
        check_sizes(TASKS['eurosat'], splits)


def test_accept_published_sizes():
    splits = vtab1k_splits(TASKS['kitti'], numbered(**PUBLISHED['kitti']))
    check_sizes(TASKS['kitti'], splits)
    splits['test'].pop()
    with pytest.raises(UsageError, match='test .* 711 images.* are 710'):
        check_sizes(TASKS['kitti'], splits)
