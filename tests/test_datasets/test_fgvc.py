"""Reader of the fine-grained datasets: labels, folders, errors."""

import json
import pickle

import pytest
from PIL import Image

from mmdavpt.datasets.fgvc import FGVC, SETS, set_from
from mmdavpt.errors import UsageError
from mmdavpt.registry import DATASETS

LISTS = dict(
    train={'b/0.jpg': 30, 'a/1.jpg': 5, 'a/2.jpg': 5, 'c/3.jpg': 100},
    val={'c/4.jpg': 100, 'a/5.jpg': 5},
    test={'c/6.jpg': 100},
)


def write(root, lists=LISTS, image_dir='images', names=None):
    root.mkdir(parents=True, exist_ok=True)
    for split, entries in lists.items():
        (root / f'{split}.json').write_text(json.dumps(entries))
        for i, name in enumerate(entries):
            path = root / image_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (8, 8), (i, 0, 0)).save(path)
    return str(root)


def read(root, split='train', name='cub', check_size=False, **kwargs):
    # Serializing collects garbage, which takes most of the time.
    kwargs.setdefault('serialize_data', False)
    return FGVC(name, split, str(root), check_size=check_size, **kwargs)


def labels_of(dataset):
    return [
        (i['img_path'], i['gt_label'])
        for i in map(dataset.get_data_info, range(len(dataset)))
    ]


def whole_lists(fgvc_set):
    """Return lists of the published sizes, with sparse class ids."""
    lists, number = {}, 0
    for split in ('train', 'val', 'test'):
        lists[split] = {}
        for _ in range(fgvc_set.sizes[split]):
            class_id = 3 * (number % fgvc_set.num_classes) + 1
            lists[split][f'{number}.jpg'] = class_id
            number += 1
    return lists


def test_published_sizes():
    sizes = {
        name: (s.num_classes, *s.sizes.values()) for name, s in SETS.items()
    }
    assert sizes == dict(
        cub=(200, 5394, 600, 5994, 5794),
        nabirds=(555, 21536, 2393, 23929, 24633),
        flowers=(102, 1020, 1020, 2040, 6149),
        dogs=(120, 10800, 1200, 12000, 8580),
        cars=(196, 7329, 815, 8144, 8041),
    )


@pytest.mark.parametrize(
    'split, expected',
    [
        ('train', [('b/0', 1), ('a/1', 0), ('a/2', 0), ('c/3', 2)]),
        ('val', [('c/4', 2), ('a/5', 0)]),
        (
            'trainval',
            [
                ('b/0', 1),
                ('a/1', 0),
                ('a/2', 0),
                ('c/3', 2),
                ('c/4', 2),
                ('a/5', 0),
            ],
        ),
        # Its one class is the third of training, not the first of its own.
        ('test', [('c/6', 2)]),
    ],
)
def test_labels_follow_the_training_list(tmp_path, split, expected):
    root = write(tmp_path)
    dataset = read(root, split)
    assert labels_of(dataset) == [
        (f'{root}/images/{name}.jpg', label) for name, label in expected
    ]
    assert list(dataset.get_gt_labels()) == [label for _, label in expected]
    assert dataset.metainfo['classes'] == ('5', '30', '100')


def test_pickle(tmp_path):
    write(tmp_path)
    dataset = read(tmp_path, serialize_data=True)
    copy = pickle.loads(pickle.dumps(dataset))
    assert labels_of(copy) == labels_of(dataset)


def test_build_from_config_and_load_images(tmp_path):
    write(tmp_path)
    dataset = DATASETS.build(
        dict(
            type='mmdavpt.FGVC',
            name='CUB200',
            split='val',
            data_root=str(tmp_path),
            check_size=False,
            pipeline=[dict(type='mmpretrain.LoadImageFromFile')],
        )
    )
    assert dataset[0]['img'].shape == (8, 8, 3)


@pytest.mark.parametrize('name', SETS)
def test_complete_lists_pass_the_size_check(tmp_path, name):
    lists = whole_lists(SETS[name])
    for split, entries in lists.items():
        (tmp_path / f'{split}.json').write_text(json.dumps(entries))
    (tmp_path / '0.jpg').touch()
    (tmp_path / next(iter(lists['test']))).touch()
    for split in ('trainval', 'test'):
        dataset = FGVC(name, split, str(tmp_path))
        assert len(dataset) == SETS[name].sizes[split]
        assert max(dataset.get_gt_labels()) == SETS[name].num_classes - 1


@pytest.mark.parametrize('name', SETS)
def test_find_by_name_title_or_alias(name):
    known = SETS[name]
    for alias in known.names:
        assert set_from(alias) is known
    assert set_from(f' {known.title.upper()} ') is known


def test_find_by_folder_names_of_davpt():
    names = ('CUB200', 'NABIRDS555', 'FLOWERS102', 'DOGS120', 'CARS196')
    assert [set_from(n).name for n in names] == list(SETS)


def test_find_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cub = SETS['cub']
    assert cub.folder_in('data/fgvc') == 'data/fgvc/CUB_200_2011'
    root = write(tmp_path / 'data/fgvc/CUB200')
    assert cub.folder_in('data/fgvc') == 'data/fgvc/CUB200'
    assert len(FGVC('cub', 'val', check_size=False)) == 2
    write(tmp_path / 'data/fgvc/CUB_200_2011')
    assert cub.folder_in('data/fgvc') == 'data/fgvc/CUB_200_2011'
    assert root != cub.folder_in('data/fgvc')


@pytest.mark.parametrize(
    'name, image_dir',
    [(s.name, folder) for s in SETS.values() for folder in s.image_dirs],
)
def test_find_images_in_every_candidate_folder(tmp_path, name, image_dir):
    root = write(tmp_path, image_dir=image_dir)
    for split in LISTS:
        for path, _ in labels_of(read(root, split, name)):
            Image.open(path).verify()


def test_prefer_paths_relative_to_data_root(tmp_path):
    root = write(tmp_path)
    write(tmp_path, image_dir='')
    assert labels_of(read(root))[0][0] == f'{root}/b/0.jpg'


@pytest.mark.parametrize('relative', [True, False])
def test_data_prefix(tmp_path, relative):
    root = write(tmp_path / 'lists')
    (tmp_path / 'lists' / 'images').rename(tmp_path / 'photos')
    with pytest.raises(UsageError, match='data_prefix'):
        read(root)
    prefix = '../photos' if relative else str(tmp_path / 'photos')
    dataset = read(root, data_prefix=prefix)
    for path, _ in labels_of(dataset):
        Image.open(path).verify()
    with pytest.raises(UsageError, match=r"'b/0.jpg', is not in .*/images;"):
        read(root, data_prefix='images')


def test_read_class_names(tmp_path):
    write(tmp_path)
    (tmp_path / 'classes.json').write_text(json.dumps(['x', 'y', 'z']))
    assert read(tmp_path).metainfo['classes'] == ('x', 'y', 'z')
    named = read(tmp_path, classes=['p', 'q', 'r'])
    assert named.metainfo['classes'] == ('p', 'q', 'r')


def test_sort_string_ids_as_strings(tmp_path):
    write(tmp_path, {'train': {'0.jpg': '10', '1.jpg': '9', '2.jpg': 'x'}})
    dataset = read(tmp_path)
    assert list(dataset.get_gt_labels()) == [0, 1, 2]
    assert dataset.metainfo['classes'] == ('10', '9', 'x')


def with_file(name, text):
    return lambda root: (root / name).write_text(text)


@pytest.mark.parametrize(
    'spoil, split, sentence',
    [
        (lambda root: (root / 'val.json').unlink(), 'val', 'fgvc_splits.py'),
        (lambda root: (root / 'train.json').unlink(), 'test', 'train.json'),
        (with_file('val.json', '{"a": 5'), 'val', 'cannot be read'),
        *(
            (with_file('val.json', text), 'val', 'that are all integers or')
            for text in (
                *('["a"]', '{}', '[]', '7', '{"a": 5.5}', '{"a": true}'),
                '{"a": 5, "b": "5"}',
            )
        ),
        (with_file('val.json', '{"a": 6}'), 'val', 'the class 6, of which'),
        (with_file('val.json', '{"a": "5"}'), 'val', "the class '5', of"),
        (with_file('val.json', '{"b/0.jpg": 5}'), 'val', 'shares 1 images'),
        (
            with_file('val.json', '{"d.jpg": 5}'),
            'val',
            "val split, 'd.jpg', is not in",
        ),
        (with_file('classes.json', '["a"]'), 'val', 'names of 3 classes'),
        (with_file('classes.json', '[1, 2, 3]'), 'val', 'names of 3 classes'),
        (with_file('classes.json', '['), 'val', 'cannot be read as JSON'),
        (with_file('classes.json', '7'), 'val', 'names of 3 classes'),
    ],
)
def test_report_malformed_lists(tmp_path, spoil, split, sentence):
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UsageError, match=sentence) as caught:
        read(tmp_path, split)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (dict(name='birds'), "one of .*'cub'.* but got 'birds'"),
        (dict(split='training'), "one of .*'trainval'.* but got 'training'"),
        (dict(root='nowhere'), 'folder nowhere of CUB-200-2011 does not'),
        (dict(check_size=True), r'train.json has 4 images, .* has 5394'),
    ],
)
def test_report_wrong_arguments(tmp_path, arguments, sentence):
    write(tmp_path)
    with pytest.raises(UsageError, match=sentence):
        read(**{**dict(root=tmp_path, split='train'), **arguments})


def test_report_missing_class(tmp_path):
    lists = whole_lists(SETS['flowers'])
    for image, class_id in lists['train'].items():
        lists['train'][image] = min(class_id, 301)
    (tmp_path / 'train.json').write_text(json.dumps(lists['train']))
    with pytest.raises(
        UsageError, match='train.json has 101 classes, .* has 102'
    ):
        FGVC('flowers', 'train', str(tmp_path))
