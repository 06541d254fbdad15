"""Folders that the hosts' readers list are listed and judged alike."""

import os

import pytest

from mmdavpt.checks.data.data_check import check_data
from mmdavpt.errors import UsageError

from .data_files import CLS, SEG, check, write


@pytest.fixture
def scenes(tmp_path):
    """Two images, one in a subfolder, and the config of their dataset."""
    write(tmp_path, 'img/a.jpg', 'img/sub/b.jpg', 'ann/a.png', 'ann/sub/b.png')
    return dict(
        type=SEG,
        data_root=str(tmp_path),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
    )


def test_scenes_that_are_fine(scenes, tmp_path):
    check(**scenes)
    # What mmengine does not list needs no label.
    write(tmp_path, 'img/._a.jpg', 'img/notes.txt', content='')
    check(**scenes)
    check(**{**scenes, 'type': 'mmseg.ADE20KDataset'})
    # Nothing is listed where there is no folder of images.
    check(type=SEG, data_root=str(tmp_path))


def test_no_image_with_the_suffix(scenes, tmp_path):
    path = 'train_dataloader.dataset'
    with pytest.raises(
        UsageError,
        match=rf'{path} reads images that end in \.tif from .*img, but '
        rf'the files there end in \.jpg; .* {path}\.img_suffix=\.jpg',
    ):
        check(**scenes, img_suffix='.tif')
    # The default is that of the class.
    with pytest.raises(UsageError, match='end in _leftImg8bit.png from'):
        check(**{**scenes, 'type': 'mmseg.CityscapesDataset'})
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UsageError, match='has no files; put the images'):
        check(**{**scenes, 'data_prefix': dict(img_path='empty')})


def test_images_without_label(scenes, tmp_path):
    (tmp_path / 'ann/sub/b.png').rename(tmp_path / 'ann/b.png')
    with pytest.raises(
        UsageError,
        match=r'train_dataloader.dataset: the label of each image should '
        r'be a file in .*ann that ends in \.png, but 1 of 2 are missing, '
        r'such as sub/b\.png; .* set .*dataset\.seg_map_suffix',
    ):
        check(**scenes)
    with pytest.raises(UsageError, match='2 of 2 are .*there end in .png'):
        check(**scenes, seg_map_suffix='.tif')


@pytest.mark.parametrize('name', ['img/a.jpg', 'ann/a.png'])
def test_empty_files_of_scenes(scenes, tmp_path, name):
    write(tmp_path, name, content='')
    pipeline = [dict(type='mmseg.LoadAnnotations')]
    with pytest.raises(UsageError, match=rf'{name} is empty \(0 bytes\)'):
        check(**scenes, pipeline=pipeline)


def test_listed_scenes(scenes, tmp_path):
    write(tmp_path, 'img/c.jpg', 'img/d.jpg', content='')  # not listed
    write(tmp_path, 'list.txt', content='a\nsub/b\n')
    scenes['ann_file'] = 'list.txt'
    check(**scenes)
    write(tmp_path, 'list.txt', content='a\nd\n')
    write(tmp_path, 'ann/d.png')
    with pytest.raises(UsageError, match=r'd\.jpg is empty'):
        check(**scenes)
    write(tmp_path, 'list.txt', content='a\nz\n')
    with pytest.raises(UsageError, match=r'1 of 2 are missing, .* z\.jpg'):
        check(**scenes)
    write(tmp_path, 'img/z.jpg')
    with pytest.raises(UsageError, match=r'1 of 2 are missing, .* z\.png'):
        check(**scenes)


@pytest.mark.parametrize(
    'unlabelled',
    [
        dict(test_mode=True, metainfo=dict(classes=['a'])),
        dict(pipeline=[dict(type='LoadImageFromFile')]),
        dict(data_prefix=dict(img_path='img')),
    ],
)
def test_labels_that_are_not_read(scenes, tmp_path, unlabelled):
    write(tmp_path, 'img/c.jpg')
    nested = dict(transforms=[[dict(type='mmseg.LoadAnnotations')]])
    with pytest.raises(UsageError, match='1 of 3 are missing'):
        check(**scenes, pipeline=[nested])
    check(**{**scenes, **unlabelled})
    if 'data_prefix' not in unlabelled:
        scenes['data_prefix']['seg_map_path'] = 'nowhere'
        check(**{**scenes, **unlabelled})


def test_datasets_that_list_by_themselves_are_left_alone(scenes):
    from mmseg.datasets import BaseSegDataset

    class Own(BaseSegDataset):
        def load_data_list(self):
            return [dict(img_path='s3://bucket/a.jpg')]

    check(**{**scenes, 'type': Own}, img_suffix='.tif')
    check(**{**scenes, 'type': lambda: None}, img_suffix='.tif')
    check(**{**scenes, 'type': 'NoSuchDataset'}, img_suffix='.tif')


def test_images_of_classes(tmp_path):
    write(tmp_path, 'cat/deep/a.WEBP', 'dog/b.webp', 'readme.txt')
    dataset = dict(type=CLS, data_root=str(tmp_path))
    check(**dataset, extensions=['.webp'])
    path = 'train_dataloader.dataset'
    with pytest.raises(
        UsageError,
        match=rf'\.bmp or \.jpeg or .* end in \.webp, .* '
        rf"'{path}\.extensions=\[\.webp\]'",
    ):
        write(tmp_path, 'dog/c.webp')
        check(**dataset)
    write(tmp_path, 'a.png')
    with pytest.raises(UsageError, match='images lie in none; make a folder'):
        check(**dataset)
    check(**dataset, with_label=False)
    # A list names whole files, so the extensions do not count.
    write(tmp_path, 'list.txt', content='dog/b.webp 1')
    check(**dataset, ann_file='list.txt')
    write(tmp_path, 'cat/x.JPG', 'dog/x.jpg')
    check(**dataset)
    check(type=CLS, data_prefix=str(tmp_path))


def test_class_without_images(tmp_path):
    write(tmp_path, 'cat/a.jpg', 'dog/deep/a.jpg', 'dog/b.txt')
    write(tmp_path, 'eel/a.txt', 'fox/.a.jpg', '.git/a.txt')
    dataset = dict(type=CLS, data_root=str(tmp_path), extensions=['.jpg'])
    with pytest.raises(
        UsageError,
        match=rf'each of the 4 folders of {tmp_path} for a class, but eel, '
        r'fox have no image that ends in \.jpg; put images there',
    ):
        check(**dataset)
    # Other splits may lack a class, and a list names its own.
    cfg = dict(val_dataloader=dict(dataset=dataset))
    check_data(cfg, ['val'])
    write(tmp_path, 'fox/a.jpg')
    with pytest.raises(UsageError, match='but eel has no image'):
        check(dataset=dict(dataset=dataset))
    check(**dataset, with_label=False)
    write(tmp_path, 'list.txt', content='cat/a.jpg 0')
    check(**dataset, ann_file='list.txt')


def test_files_are_listed_as_the_host_lists_them(scenes, tmp_path):
    from mmengine.fileio import list_dir_or_file

    write(tmp_path, 'img/.hidden/e.jpg', 'ann/.hidden/e.png', 'img/.f.jpg')
    (tmp_path / 'more').mkdir()
    write(tmp_path, 'more/g.jpg', 'more/g.png')
    os.symlink(tmp_path / 'more', tmp_path / 'img/link')
    os.symlink(tmp_path / 'nothing.jpg', tmp_path / 'img/broken.jpg')
    from mmdavpt.checks.data.folder_check import _files, _is_listed

    assert sorted(
        name for name, _ in _files(str(tmp_path / 'img')) if _is_listed(name)
    ) == sorted(
        list_dir_or_file(str(tmp_path / 'img'), list_dir=False, recursive=True)
    )
    with pytest.raises(UsageError, match='1 of 4 are missing.* link/g.png'):
        check(**scenes)
    os.symlink(tmp_path / 'more', tmp_path / 'ann/link')
    check(**scenes)
