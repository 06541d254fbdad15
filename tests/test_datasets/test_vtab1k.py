"""Reader of VTAB-1k: tasks, aliases, folders, errors."""

import pickle

import pytest

from mmdavpt.datasets import VTAB1k
from mmdavpt.datasets.vtab1k import SPLITS, TASKS, task_from
from mmdavpt.errors import UsageError
from mmdavpt.registry import DATASETS

LINES = ['images/test/000000.jpg 3', 'images/test/000001.png 0']


def write(root, task='svhn', split='test', lines=LINES, folder=None):
    folder = root / (folder or task)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{split}.txt').write_text('\n'.join(lines) + '\n')
    return folder


def read(root, task='svhn', split='test', check_size=False, **kwargs):
    # Serializing collects garbage, which takes most of the time.
    kwargs.setdefault('serialize_data', False)
    return VTAB1k(task, split, str(root), check_size=check_size, **kwargs)


def test_published_sizes():
    assert {
        t.name: (t.num_classes, t.sizes['test']) for t in TASKS.values()
    } == {
        'cifar': (100, 10000),
        'caltech101': (102, 6084),
        'dtd': (47, 1880),
        'oxford_flowers102': (102, 6149),
        'oxford_iiit_pet': (37, 3669),
        'svhn': (10, 26032),
        'sun397': (397, 21750),
        'patch_camelyon': (2, 32768),
        'eurosat': (10, 5400),
        'resisc45': (45, 6300),
        'diabetic_retinopathy': (5, 42670),
        'clevr_count': (8, 15000),
        'clevr_dist': (6, 15000),
        'dmlab': (6, 22735),
        'kitti': (4, 711),
        'dsprites_loc': (16, 73728),
        'dsprites_ori': (16, 73728),
        'smallnorb_azi': (18, 12150),
        'smallnorb_ele': (9, 12150),
    }
    assert list(TASKS) == [task.name for task in TASKS.values()]
    groups = [task.group for task in TASKS.values()]
    assert {g: groups.count(g) for g in groups} == dict(
        natural=7, specialized=4, structured=8
    )


@pytest.mark.parametrize(
    'alias, name',
    [
        ('cifar100', 'cifar'),
        ('CIFAR-100', 'cifar'),
        ('pets', 'oxford_iiit_pet'),
        ('oxford_pet', 'oxford_iiit_pet'),
        ('flowers102', 'oxford_flowers102'),
        ('camelyon', 'patch_camelyon'),
        ('Patch Camelyon', 'patch_camelyon'),
        ('retinopathy', 'diabetic_retinopathy'),
        ('clerv_count', 'clevr_count'),
        ('dspr_loc', 'dsprites_loc'),
        ('dspr_ori', 'dsprites_ori'),
        ('smallnorb-azi', 'smallnorb_azi'),
    ],
)
def test_find_by_alias(tmp_path, alias, name):
    assert task_from(alias) is TASKS[name]
    if alias in TASKS[name].names:
        folder = write(tmp_path, folder=alias, lines=['a.png 1'])
        info = read(tmp_path, name).get_data_info(0)
        assert info['img_path'] == str(folder / 'a.png')


def test_names_are_unique():
    for task in TASKS.values():
        for name in (task.title, *task.names):
            assert task_from(name) is task


def test_prefer_folder_with_the_canonical_name(tmp_path):
    write(tmp_path, folder='cifar100', lines=['a.png 1'])
    folder = write(tmp_path, folder='cifar', lines=['b.png 2'])
    (info,) = read(tmp_path, 'cifar100')
    assert info['img_path'] == str(folder / 'b.png')


@pytest.mark.parametrize('split', SPLITS)
def test_read_each_split(tmp_path, split):
    assert SPLITS == ('train800', 'val200', 'train800val200', 'test')
    folder = write(tmp_path, split=split)
    dataset = read(tmp_path, split=split)
    paths = [str(folder / line.split()[0]) for line in LINES]
    assert [info['img_path'] for info in dataset] == paths
    assert list(dataset.get_gt_labels()) == [3, 0]


@pytest.mark.parametrize('ending', ['\r\n', '\n\n', '  \n'])
def test_line_endings(tmp_path, ending):
    folder = write(tmp_path)
    byte_order_mark = '\ufeff' if ending == '\r\n' else ''
    (folder / 'test.txt').write_text(byte_order_mark + ending.join(LINES))
    assert list(read(tmp_path).get_gt_labels()) == [3, 0]


def test_paths_with_spaces(tmp_path):
    folder = write(tmp_path, lines=['my images/a b.jpg 7'])
    (info,) = read(tmp_path)
    assert info['img_path'] == str(folder / 'my images/a b.jpg')
    assert info['gt_label'] == 7


def test_class_names(tmp_path):
    folder = write(tmp_path)
    assert read(tmp_path).metainfo['classes'] == tuple('0123456789')
    names = [f'digit {i}' for i in range(10)]
    (folder / 'classes.txt').write_text('\n'.join(names))
    assert read(tmp_path).metainfo['classes'] == tuple(names)
    own = tuple('abcdefghij')
    assert read(tmp_path, classes=own).metainfo['classes'] == own
    (folder / 'classes.txt').write_text('\n'.join(names[1:]))
    with pytest.raises(UsageError, match=r'names of 10 classes, but is \['):
        read(tmp_path)


@pytest.mark.parametrize(
    'split, size', [('train800', 800), ('val200', 200), ('test', 711)]
)
def test_check_size(tmp_path, split, size):
    lines = [f'images/{i:06d}.png {i % 3}' for i in range(size)]
    write(tmp_path, 'kitti', split, lines)
    # One of the four classes has no image, which is no mistake.
    assert len(read(tmp_path, 'kitti', split, check_size=True)) == size
    write(tmp_path, 'kitti', split, lines[1:])
    with pytest.raises(UsageError, match=f'{size - 1} images.*has {size}'):
        read(tmp_path, 'kitti', split, check_size=True)
    assert len(read(tmp_path, 'kitti', split)) == size - 1


@pytest.mark.parametrize(
    'line, message',
    [
        ('images/test/1.jpg', 'line 2 should be a path'),
        ('images/test/1.jpg x', "but is 'images/test/1.jpg x'"),
        ('images/test/1.jpg -1', 'line 2 should be'),
        ('images/test/1.jpg 1.0', 'line 2 should be'),
        ('images/test/1.jpg ²', 'line 2 should be'),
        ('images/test/1.jpg ٣', 'line 2 should be'),
        ('3', 'line 2 should be'),
        (
            'images/test/1.jpg 10',
            "line 2 .* of the 10 classes, but is .*1.jpg' with '10'",
        ),
        (LINES[0], 'line 2: images/test/000000.jpg is listed before, in'),
    ],
)
def test_report_malformed_lines(tmp_path, line, message):
    write(tmp_path, lines=[LINES[0], line])
    with pytest.raises(UsageError, match=message):
        read(tmp_path)


def test_report_missing_folders_and_lists(tmp_path):
    with pytest.raises(UsageError, match="no folder 'cifar' or 'cifar100'"):
        read(tmp_path, 'cifar')
    with pytest.raises(UsageError, match="nowhere has no folder 'svhn' for"):
        read(tmp_path / 'nowhere')
    folder = write(tmp_path, lines=[])
    with pytest.raises(UsageError, match='is empty'):
        read(tmp_path)
    with pytest.raises(UsageError, match='train800.txt cannot be read'):
        read(tmp_path, split='train800')
    (folder / 'test.txt').write_bytes(b'\xff\xfe')
    with pytest.raises(UsageError, match='is not UTF-8'):
        read(tmp_path)


def test_report_unknown_names(tmp_path):
    with pytest.raises(UsageError, match="one of .*'cifar'.*got 'mnist'"):
        read(tmp_path, 'mnist')
    with pytest.raises(UsageError, match="'train800val200'.*got 'train'"):
        read(tmp_path, split='train')


def test_build_from_config_and_pickle(tmp_path):
    write(tmp_path)
    dataset = DATASETS.build(
        dict(
            type='mmdavpt.VTAB1k',
            task='SVHN',
            split='test',
            data_root=str(tmp_path),
            check_size=False,
        )
    )
    again = pickle.loads(pickle.dumps(dataset))
    assert again.get_data_info(1) == dataset.get_data_info(1)
    assert again.benchmark.name == 'svhn'
