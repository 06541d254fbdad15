"""Folders of images as people have them: every file is used or named."""

import os
import unicodedata

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset
from PIL import Image

from mmdavpt.datasets import ImageFolder
from mmdavpt.errors import UsageError


def draw(path, mode='RGB', **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.full((4, 5, 3), 90, np.uint8)).convert(mode)
    image.save(path, **kwargs)


def pipeline(backend='cv2'):
    return [dict(type='LoadImageFromFile', imdecode_backend=backend)]


def used(dataset):
    """Return the paths, which the pipeline loads, and their classes."""
    names = dataset.metainfo['classes']
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    for i in range(len(dataset)):
        if dataset.pipeline.transforms:
            assert dataset[i]['img'].shape == (4, 5, 3)
    return {
        os.path.relpath(info['img_path'], dataset.img_prefix): names[
            info['gt_label']
        ]
        for info in infos
    }


@pytest.fixture
def root(tmp_path):
    for name in ('cat', 'dog'):
        draw(tmp_path / name / 'a.png')
    return tmp_path


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_every_format_and_case_is_used(root, backend):
    names = ['b.jpg', 'c.JPG', 'd.jpeg', 'e.JPE', 'f.webp', 'g.WebP']
    names += ['h.tif', 'i.TIFF', 'j.bmp', 'k.ppm', 'l.gif', 'm.avif']
    for name in names:
        draw(root / 'cat' / name)
    draw(root / 'cat' / 'sub' / 'n.png')
    draw(root / 'dog' / 'wrong.jpg', format='PNG')
    draw(root / 'dog' / 'no_extension', format='PNG')
    draw(root / 'dog' / 'odd.1', format='JPEG')
    draw(root / 'dog' / 'o.jfif', format='JPEG')
    draw(root / 'dog' / 'photo of a dog.2.png', mode='I;16')
    draw(root / 'dog' / 'print.jpg', mode='CMYK')
    dataset = ImageFolder(root, pipeline=pipeline(backend))
    assert dataset.skipped == {}
    cats = {'cat/a.png', 'cat/sub/n.png', *(f'cat/{name}' for name in names)}
    found = used(dataset)
    assert {path for path, name in found.items() if name == 'cat'} == cats
    assert len(found) == len(cats) + 7


def test_the_order_is_that_of_mmpretrain(tmp_path):
    for name in ('b', 'a b', 'a', 'C', '10', '2', 'a/x', 'a/x y', 'a/x-y'):
        draw(tmp_path / name / 'a.png')
    expected = CustomDataset(data_root=str(tmp_path))
    found = ImageFolder(data_root=str(tmp_path))
    assert found.metainfo == expected.metainfo
    assert found.folder_to_idx == expected.folder_to_idx
    assert [found[i] for i in range(9)] == [expected[i] for i in range(9)]


def test_skipped_files_are_named_in_one_line(root, monkeypatch):
    lines = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'warning', lines.append)
    draw(root / 'loose.png')
    for name in ('.ipynb_checkpoints', '__MACOSX', '@eaDir'):
        draw(root / name / 'cat' / 'a.png')
        draw(root / 'cat' / name / 'a.png')
    for name in ('cat/._a.png', 'cat/.DS_Store', 'dog/Thumbs.db', 'a.csv'):
        (root / name).write_bytes(b'\0\5\26\7')
    (root / 'dog' / 'README').write_text('words')
    (root / 'dog' / 'clip.mp4').write_bytes(b'\0\0\0\x1cftypisom' + bytes(64))
    dataset = ImageFolder(str(root), pipeline=pipeline())
    assert used(dataset) == {'cat/a.png': 'cat', 'dog/a.png': 'dog'}
    reasons = {
        reason: [os.path.relpath(path, root) for path in paths]
        for reason, paths in dataset.skipped.items()
    }
    unread = ['a.csv', 'dog/README', 'dog/clip.mp4']
    hidden = ['.ipynb_checkpoints', '@eaDir', '__MACOSX', 'cat/.DS_Store']
    hidden += ['cat/._a.png', 'cat/.ipynb_checkpoints', 'cat/@eaDir']
    assert reasons == {
        'hidden': [*hidden, 'cat/__MACOSX', 'dog/Thumbs.db'],
        'in no format that cv2 reads': unread,
        'in no folder of a class': ['loose.png'],
    }
    [line] = lines
    assert '2 images; not used: hidden: 9 (such as .ipynb_check' in line


def test_a_broken_image_is_not_skipped(root):
    """Its file is checked later, which names it."""
    for name in ('b.png', 'c.webp', 'd.JPG'):
        (root / 'cat' / name).write_bytes(b'')
    os.symlink('nowhere.png', root / 'cat' / 'e.png')
    assert len(ImageFolder(str(root))) == 6


def test_links_are_followed_without_loops(root, tmp_path_factory):
    other = tmp_path_factory.mktemp('other')
    draw(other / 'bird' / 'a.png')
    os.symlink(other / 'bird', root / 'bird')
    os.symlink(root, root / 'bird' / 'back')
    os.symlink('.', root / 'cat' / 'here')
    os.symlink('itself', root / 'cat' / 'itself')
    os.symlink('../dog', root / 'cat' / 'dogs')
    assert [*used(ImageFolder(str(root)))] == [
        *('bird/a.png', 'cat/a.png', 'cat/dogs/a.png', 'dog/a.png')
    ]


def test_listed_classes(root):
    """They number the folders; one of them needs no folder."""
    classes = ['dog', 'bird', 'cat']
    for names in (dict(metainfo=dict(classes=classes)), dict(classes=classes)):
        dataset = ImageFolder(str(root), **names)
        labels = [dataset[i]['gt_label'] for i in range(2)]
        assert labels == [2, 0]
        assert dataset.metainfo['classes'] == ('dog', 'bird', 'cat')
        assert dataset.folder_to_idx == {'dog': 0, 'bird': 1, 'cat': 2}
    with pytest.raises(UsageError, match="'dog'.* none of.*mean 'dogs'"):
        ImageFolder(str(root), metainfo=dict(classes=['cat', 'dogs']))


@pytest.mark.parametrize(
    'classes, message',
    [
        ('cat', r"text 'cat'.*as in classes=\['cat'\]"),
        (['cat', 'dog', 'cat'], "'cat' twice"),
        (['cat', ''], "has ''"),
        (['cat', 7], 'has 7'),
    ],
)
def test_malformed_classes(root, classes, message):
    for names in (dict(metainfo=dict(classes=classes)), dict(classes=classes)):
        with pytest.raises(UsageError, match=message):
            ImageFolder(str(root), **names)


def test_classes_from_a_file(root):
    path = root / 'classes.txt'
    path.write_bytes(b'\xef\xbb\xbfdog\r\ncat\r\n\r\n')
    dataset = ImageFolder(str(root), metainfo=dict(classes=str(path)))
    assert dataset.metainfo['classes'] == ('dog', 'cat')


@pytest.mark.parametrize('form', ['NFC', 'NFD'])
def test_accents_are_the_same_on_every_system(tmp_path, form):
    """macOS takes letters and accents apart, which changes their order."""
    names = ['école', 'ez', 'été']
    for name in names:
        draw(tmp_path / unicodedata.normalize(form, name) / 'a.png')
    dataset = ImageFolder(str(tmp_path), pipeline=pipeline())
    assert dataset.metainfo['classes'] == ('ez', 'école', 'été')
    assert [*used(dataset).values()] == ['ez', 'école', 'été']
    names = [unicodedata.normalize('NFD', name) for name in names]
    dataset = ImageFolder(str(tmp_path), classes=names)
    assert [dataset[i]['gt_label'] for i in range(3)] == [1, 0, 2]


def test_mistaken_folders(tmp_path):
    with pytest.raises(UsageError, match='folder .*none.* cannot be read'):
        ImageFolder(str(tmp_path / 'none'))
    draw(tmp_path / 'train' / 'loose.png')
    (tmp_path / 'train' / 'cat').mkdir()
    (tmp_path / 'train' / 'cat' / '.hidden').touch()
    with pytest.raises(UsageError, match='splits.*train.*data_prefix'):
        ImageFolder(str(tmp_path))
    with pytest.raises(
        UsageError,
        match='a folder for each class, but has none; not used: '
        'hidden: .hidden; in no folder of a class: loose.png',
    ):
        ImageFolder(str(tmp_path), 'train')
    draw(tmp_path / 'train' / 'Cat' / 'a.png')
    dataset = ImageFolder(str(tmp_path), 'train')
    assert used(dataset) == {'Cat/a.png': 'Cat'}


def test_an_empty_class_keeps_its_number(root):
    (root / 'bird').mkdir()
    dataset = ImageFolder(str(root))
    assert dataset.metainfo['classes'] == ('bird', 'cat', 'dog')
    assert used(dataset) == {'cat/a.png': 'cat', 'dog/a.png': 'dog'}


LISTED = {'cat/a b.png': 0, 'cat/c.png': 0, 'traffic light/1.png': 1}


@pytest.mark.parametrize(
    'text',
    [
        b'cat/a b.png\ncat/c.png\ntraffic light/1.png',
        b'cat/a b.png 0\ncat/c.png 0\ntraffic light/1.png 1\n',
        b'cat/a b.png\t0\ncat/c.png\t0\ntraffic light/1.png\t1\n',
        b'cat/a b.png cat\n\ncat/c.png  cat\r\n'
        b'traffic light/1.png traffic light\r\n\r\n',
        b'\xef\xbb\xbfcat/a b.png\tcat\ncat/c.png \t cat\n'
        b'traffic light/1.png\ttraffic light \n',
    ],
)
def test_lists(tmp_path, text):
    for folder in ('cat', 'traffic light'):
        (tmp_path / folder).mkdir()
    (tmp_path / 'list.txt').write_bytes(text)
    dataset = ImageFolder(
        str(tmp_path),
        ann_file='list.txt',
        metainfo=dict(classes=['cat', 'traffic light']),
    )
    infos = [dataset[i] for i in range(len(dataset))]
    found = {os.path.relpath(i['img_path'], tmp_path): i for i in infos}
    assert {path: i['gt_label'] for path, i in found.items()} == LISTED


@pytest.mark.parametrize(
    'text, message',
    [
        (b'', 'is empty'),
        (b'\n\n', 'is empty'),
        (b'\xff\xfec\0a\0t\0', 'line 1 is not UTF-8'),
        (b'cat/a.png 0\n\ncat/b.png 2\n', 'line 3 .*from 0.*2 classes'),
        (b'cat/a.png 0\ncat/b.png -1\n', "line 2 .*'-1'"),
        (b'a.png\tcat\nb.png\tdg\n', "line 2 .*'dg'.*did you mean 'dog'"),
        (b'cat/a.png,0\n, ', 'line 2 .*begins with the folder of a class'),
        (b'cat/a.png 0\ncat/a.png 0\n', 'line 2: .*before, in .*, line 1'),
        (b'cat/a.png 0\ncat/a.png 1\n', 'line 2: .*before, in .*, line 1'),
        (b'cat/a.png\ncats/b.png\n', "line 2 .*did you mean 'cat'"),
    ],
)
def test_malformed_lists(root, text, message):
    (root / 'list.txt').write_bytes(text)
    with pytest.raises(UsageError, match=f'list.txt.*{message}'):
        ImageFolder(str(root), ann_file='list.txt', classes=['cat', 'dog'])


def test_a_list_and_the_classes(root):
    path = root / 'list.txt'
    path.write_text('dog/a.png\n')
    dataset = ImageFolder(str(root), ann_file='list.txt')
    assert dataset.metainfo['classes'] == ('cat', 'dog')  # not just 'dog'
    assert dataset[0]['gt_label'] == 1
    path.write_text('a.png 4\n')  # the numbers of unnamed classes
    assert ImageFolder(str(root), ann_file='list.txt')[0]['gt_label'] == 4
    path.write_text('1/a.png 1\n')
    with pytest.raises(UsageError, match='line 1: 1 is the name of class 0'):
        ImageFolder(str(root), ann_file='list.txt', classes=['1', '2'])
    with pytest.raises(UsageError, match='no.txt cannot be read'):
        ImageFolder(str(root), ann_file='no.txt')


def test_what_is_not_an_option(root):
    for given in (dict(extensions=('.png',)), dict(with_label=False)):
        with pytest.raises(TypeError, match=[*given][0]):
            ImageFolder(str(root), **given)


def test_built_from_a_config(root):
    cfg = Config(dict(type='mmdavpt.ImageFolder', data_root=str(root)))
    from mmpretrain.registry import DATASETS

    assert isinstance(DATASETS.build(cfg), ImageFolder)
